// The table of torrents: sorts, filters, and keeps in the document only the rows that can be seen.

import { bytes, duration, eta, percent, rate, ratio, visible } from "./format.js";

/** Up to this many rows all are in the document; beyond it only those in and near the window. */
const allBelow = 250;
/** Rows kept above and below the window. */
const margin = 12;

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const number = (field, missing = -Infinity) => (torrent) => torrent[field] ?? missing;

const statusWords = {
  "stopped": "stopped", "check-wait": "check queued", "checking": "checking", "download-wait": "queued",
  "downloading": "downloading", "seed-wait": "seed queued", "seeding": "seeding",
};
const statusOrder = Object.keys(statusWords);

function statusText(torrent) {
  const word = statusWords[torrent.status] ?? "–";
  if (torrent.status === "checking") return `${word} ${percent(torrent.checked ?? 0)}`;
  if (torrent.status === "downloading" && torrent.metadata < 1) return `metadata ${percent(torrent.metadata)}`;
  if (torrent.stalled && torrent.status === "downloading") return "stalled";
  return word;
}

/** What a row looks like by its colour. */
function mood(torrent) {
  if (torrent.error >= 2) return "error";
  if (torrent.error === 1) return "warning";
  return torrent.status ?? "unknown";
}

/** `sort` gives what rows are compared by, `first` the direction a first click sorts in. */
export const columns = [
  { field: "name", title: "Name", sort: (t) => t.name ?? "", first: 1 },
  { field: "status", title: "Status", sort: (t) => statusOrder.indexOf(t.status), first: -1, text: statusText },
  { field: "progress", title: "Progress", sort: number("progress"), first: -1 },
  { field: "size", title: "Size", sort: number("size"), first: -1, text: (t) => bytes(t.size), isFigure: true },
  { field: "down", title: "Down", sort: number("down"), first: -1, text: (t) => rate(t.down), isFigure: true },
  { field: "up", title: "Up", sort: number("up"), first: -1, text: (t) => rate(t.up), isFigure: true },
  {
    field: "ratio", title: "Ratio", first: -1, text: (t) => ratio(t.ratio), isFigure: true,
    sort: (t) => (t.ratio === -2 ? Infinity : t.ratio ?? -1),
  },
  {
    field: "eta", title: "ETA", first: 1, text: (t) => (t.progress < 1 ? eta(t.eta) : ""), isFigure: true,
    sort: (t) => (t.progress < 1 && t.eta >= 0 ? t.eta : Infinity),
  },
  { field: "peers", title: "Peers", sort: number("peers"), first: -1, text: (t) => (t.peers ? String(t.peers) : ""), isFigure: true },
];

/** Groups that can be shown alone. */
export const groups = [
  { name: "all", has: () => true },
  { name: "moving", has: (t) => t.down > 0 || t.up > 0 },
  { name: "unfinished", has: (t) => !(t.progress >= 1) },
  { name: "faulty", has: (t) => t.error > 0 },
];

/** One row and what it shows, so that only what differs is written. */
class Row {
  constructor(hash) {
    this.hash = hash;
    this.element = document.createElement("tr");
    this.element.dataset.hash = hash;
    this.shown = {};
    this.cells = {};
    for (const column of columns) {
      const cell = document.createElement("td");
      if (column.field === "name") {
        const name = document.createElement("bdi");
        const labels = document.createElement("span");
        labels.className = "labels";
        cell.dataset.field = "name";
        cell.append(name, labels);
        this.cells.name = name;
        this.cells.labels = labels;
        this.cells.nameCell = cell;
      } else if (column.field === "progress") {
        const bar = document.createElement("progress");
        bar.dataset.field = "progress";
        bar.max = 1;
        const figure = document.createElement("span");
        figure.className = "percent";
        cell.className = "progress";
        cell.append(bar, figure);
        this.cells.bar = bar;
        this.cells.percent = figure;
      } else {
        cell.dataset.field = column.field;
        if (column.isFigure) cell.className = "figure";
        this.cells[column.field] = cell;
      }
      this.element.append(cell);
    }
  }

  /** Writes `value` where it differs from what is shown. */
  #put(key, value, write) {
    if (this.shown[key] === value) return;
    this.shown[key] = value;
    write(value);
  }

  show(torrent, index) {
    const cells = this.cells;
    this.#put("index", index, (v) => this.element.setAttribute("aria-rowindex", String(v + 2)));
    this.#put("mood", mood(torrent), (v) => { this.element.dataset.mood = v; });
    this.#put("name", torrent.name ?? this.hash, (v) => { cells.name.textContent = visible(v); });
    const message = torrent.error > 0 && torrent.message ? `\n${visible(torrent.message)}` : "";
    this.#put("title", (torrent.name ?? "") + message, () => {
      cells.nameCell.title = visible(torrent.name ?? this.hash) + message;
    });
    this.#put("labels", (torrent.labels ?? []).join("\n"), () => {
      cells.labels.replaceChildren(...(torrent.labels ?? []).slice(0, 4).map((label) => {
        const chip = document.createElement("bdi");
        chip.textContent = visible(label);
        return chip;
      }));
    });
    const progress = Math.min(1, Math.max(0, torrent.progress ?? 0));
    this.#put("progress", progress, (v) => {
      cells.bar.value = v;
      cells.bar.setAttribute("value", String(v));
    });
    this.#put("percent", percent(torrent.progress), (v) => { cells.percent.textContent = v; });
    for (const column of columns) {
      if (column.text) this.#put(column.field, column.text(torrent), (v) => { cells[column.field].textContent = v; });
    }
    this.#put("etaTitle", torrent.eta > 0 ? duration(torrent.eta) : "", (v) => { cells.eta.title = v; });
    this.#put("message", message, (v) => {
      cells.status.title = v.trim();
    });
  }
}

export class Table {
  /** Called after each drawing with the totals of what is shown. */
  onTotals = () => {};
  /** Called when the order changed by a click. */
  onSort = () => {};

  #table;
  #body;
  #torrents = new Map();
  #rows = new Map();
  #order = [];
  #above;
  #below;
  #needsOrder = true;
  #frame = 0;
  #filter = "";
  #group = groups[0];
  #column = columns[0];
  #direction = 1;
  #changed = new Set();
  #rowHeight = 0;

  constructor(table) {
    this.#table = table;
    this.#body = table.tBodies[0];
    this.#above = this.#spacer();
    this.#below = this.#spacer();
    const head = table.tHead.rows[0];
    for (const column of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.dataset.column = column.field;
      if (column.isFigure) cell.className = "figure";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column.title;
      button.addEventListener("click", () => this.sort(column.field));
      cell.append(button);
      head.append(cell);
    }
    addEventListener("scroll", () => this.#draw(), { passive: true });
    addEventListener("resize", () => { this.#rowHeight = 0; this.#draw(); }, { passive: true });
    this.sort("name", 1);
  }

  /** Shows other torrents altogether. */
  replace(torrents) {
    this.#torrents = torrents;
    for (const [hash, row] of this.#rows) {
      if (!torrents.has(hash)) {
        row.element.remove();
        this.#rows.delete(hash);
      }
    }
    this.#changed = new Set(torrents.keys());
    this.#needsOrder = true;
    this.#draw();
  }

  /** Some torrents changed; `fields` of each are given to know whether the order may. */
  update(changed, removed) {
    const orders = [this.#column.field, "name", "labels", "down", "up", "progress", "error"];
    for (const [hash, fields] of Object.entries(changed)) {
      this.#changed.add(hash);
      if (!this.#needsOrder && (fields.name !== undefined || orders.some((field) => field in fields))) this.#needsOrder = true;
    }
    for (const hash of removed) {
      this.#rows.get(hash)?.element.remove();
      this.#rows.delete(hash);
      this.#needsOrder = true;
    }
    this.#draw();
  }

  filter(text) {
    this.#filter = text.trim().toLocaleLowerCase();
    this.#needsOrder = true;
    this.#draw();
  }

  group(name) {
    this.#group = groups.find((group) => group.name === name) ?? groups[0];
    this.#needsOrder = true;
    this.#draw();
  }

  /** Sorts by a column; by the same one again the other way round. */
  sort(field, direction) {
    const column = columns.find((column) => column.field === field) ?? columns[0];
    this.#direction = direction ?? (column === this.#column ? -this.#direction : column.first);
    this.#column = column;
    for (const cell of this.#table.tHead.rows[0].cells) {
      if (cell.dataset.column === column.field) {
        cell.setAttribute("aria-sort", this.#direction > 0 ? "ascending" : "descending");
      } else {
        cell.removeAttribute("aria-sort");
      }
    }
    this.#needsOrder = true;
    this.onSort(column.field, this.#direction);
    this.#draw();
  }

  #spacer() {
    const row = document.createElement("tr");
    row.className = "spacer";
    row.setAttribute("aria-hidden", "true");
    const cell = document.createElement("td");
    cell.colSpan = columns.length;
    row.append(cell);
    return row;
  }

  #draw() {
    if (this.#frame) return;
    // A page in the background gets no frames; it is drawn when it is looked at again.
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#drawNow();
    });
  }

  #arrange() {
    const { sort } = this.#column;
    const filter = this.#filter;
    const list = [];
    for (const [hash, torrent] of this.#torrents) {
      if (!this.#group.has(torrent)) continue;
      if (filter && !(torrent.name ?? "").toLocaleLowerCase().includes(filter)
        && !(torrent.labels ?? []).some((label) => label.toLocaleLowerCase().includes(filter))) continue;
      list.push({ hash, torrent, key: sort(torrent) });
    }
    const compare = (a, b) =>
      typeof a.key === "string" ? collator.compare(a.key, b.key) : a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
    list.sort((a, b) => this.#direction * compare(a, b) || (a.hash < b.hash ? -1 : 1));
    this.#order = list;
    let size = 0, down = 0, up = 0;
    for (const { torrent } of list) {
      size += torrent.size ?? 0;
      down += torrent.down ?? 0;
      up += torrent.up ?? 0;
    }
    this.onTotals({ count: list.length, all: this.#torrents.size, size, down, up });
  }

  #drawNow() {
    const isNew = this.#needsOrder;
    if (this.#needsOrder) {
      this.#needsOrder = false;
      this.#arrange();
      this.#table.setAttribute("aria-rowcount", String(this.#order.length + 1));
    }
    const order = this.#order;
    let first = 0, last = order.length;
    if (order.length > allBelow) {
      const height = this.#measure();
      const top = this.#body.getBoundingClientRect().top;
      first = Math.max(0, Math.min(order.length, Math.floor(-top / height) - margin));
      last = Math.min(order.length, Math.ceil((innerHeight - top) / height) + margin);
      this.#above.firstChild.style.height = `${first * height}px`;
      this.#below.firstChild.style.height = `${(order.length - last) * height}px`;
    }
    this.#above.hidden = first === 0;
    this.#below.hidden = last === order.length;

    const wanted = new Set();
    let place = this.#above.isConnected ? this.#above : null;
    if (!place) {
      this.#body.prepend(this.#above);
      this.#body.append(this.#below);
      place = this.#above;
    }
    for (let index = first; index < last; index += 1) {
      const { hash, torrent } = order[index];
      wanted.add(hash);
      let row = this.#rows.get(hash);
      const isFresh = !row;
      if (isFresh) {
        row = new Row(hash);
        this.#rows.set(hash, row);
      }
      if (isFresh || isNew || this.#changed.has(hash)) row.show(torrent, index);
      if (place.nextSibling !== row.element) place.after(row.element);
      place = row.element;
    }
    for (const [hash, row] of this.#rows) {
      if (!wanted.has(hash)) {
        row.element.remove();
        this.#rows.delete(hash);
      }
    }
    this.#changed.clear();
  }

  /** All rows are equally high; how high is the style's business. */
  #measure() {
    if (this.#rowHeight > 0) return this.#rowHeight;
    const probe = this.#body.querySelector("tr[data-hash]") ?? new Row("0").element;
    const isLoose = !probe.isConnected;
    if (isLoose) this.#body.append(probe);
    this.#rowHeight = probe.getBoundingClientRect().height || 34;
    if (isLoose) probe.remove();
    return this.#rowHeight;
  }
}
