// The table of torrents: keeps in the document only the rows that can be seen, and tells what is clicked.

import { columns } from "./columns.js";
import { make } from "./dom.js";
import { Order } from "./order.js";
import { Row } from "./row.js";
import { Selection } from "./selection.js";

/** Up to this many rows all are in the document; beyond it only those in and near the window. */
const allBelow = 250;
/** Rows kept above and below the window. */
const margin = 12;

export class Table {
  order = new Order();
  selection = new Selection();
  /** Called after each change of what is shown. */
  onShown = () => {};
  /** Called when the order changed. */
  onSort = () => {};
  /** Called with a hash when somebody wants to see it whole. */
  onOpen = () => {};
  /** Called when the selection changed. */
  onSelection = () => {};

  #table;
  #body;
  #torrents = new Map();
  #rows = new Map();
  #above = makeSpacer();
  #below = makeSpacer();
  #frame = 0;
  #changed = new Set();
  #isRearranged = true;
  #rowHeight = 0;

  constructor(table) {
    this.#table = table;
    this.#body = table.tBodies[0];
    this.#body.append(this.#above, this.#below);
    for (const column of columns) {
      const button = make("button", { type: "button", tabIndex: 0, textContent: column.title });
      button.addEventListener("click", () => this.sort(column.field));
      const cell = make("th", { scope: "col", data: { column: column.field } }, button);
      if (column.isFigure) cell.className = "figure";
      table.tHead.rows[0].append(cell);
    }
    this.#body.addEventListener("click", (event) => this.#clicked(event));
    // A range is chosen, not a piece of text.
    this.#body.addEventListener("mousedown", (event) => { if (event.shiftKey) event.preventDefault(); });
    addEventListener("scroll", () => this.draw(), { passive: true });
    addEventListener("resize", () => { this.#rowHeight = 0; this.draw(); }, { passive: true });
    this.selection.onChange = () => {
      this.onSelection();
      this.draw();
    };
  }

  /** Shows other torrents altogether. */
  replace(torrents) {
    this.#torrents = torrents;
    this.order.replace(torrents);
    this.#changed = new Set(torrents.keys());
    this.#rearranged();
  }

  /** Some torrents changed; `changed` names the fields of each. */
  update(changed, removed) {
    this.order.update(this.#torrents, changed, removed);
    for (const hash of Object.keys(changed)) this.#changed.add(hash);
    this.#rearranged();
  }

  filter(text) {
    this.order.filter = text;
    this.#rearranged();
  }

  group(name) {
    this.order.group = name;
    this.#rearranged();
  }

  sort(field, direction) {
    this.order.sort(field, direction);
    for (const cell of this.#table.tHead.rows[0].cells) {
      if (cell.dataset.column === this.order.column.field) {
        cell.setAttribute("aria-sort", this.order.direction > 0 ? "ascending" : "descending");
      } else {
        cell.removeAttribute("aria-sort");
      }
    }
    this.onSort(this.order.column.field, this.order.direction);
    this.#rearranged();
  }

  focus() {
    this.#table.focus({ preventScroll: true });
  }

  /** Rows that fit into the window. */
  get pageSize() {
    return Math.max(1, Math.floor(innerHeight / this.#measure()) - 4);
  }

  /** Scrolls so that a row can be seen between what covers the top and the bottom of the window. */
  reveal(hash, covered) {
    const index = this.order.indexOf(hash);
    if (index < 0) return;
    const height = this.#measure();
    const head = this.#table.tHead.getBoundingClientRect().height;
    const top = this.#body.getBoundingClientRect().top + index * height;
    if (top < head) scrollBy(0, top - head);
    else if (top + height > innerHeight - covered) scrollBy(0, top + height - innerHeight + covered);
  }

  draw() {
    if (this.#frame) return;
    // A page in the background gets no frames; it is drawn when it is looked at again.
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#drawNow();
    });
  }

  #rearranged() {
    this.#isRearranged = true;
    this.selection.keep((hash) => this.#torrents.has(hash));
    this.onShown();
    this.draw();
  }

  #clicked({ target, ctrlKey, metaKey, shiftKey }) {
    const hash = target.closest("tr[data-hash]")?.dataset.hash;
    if (!hash) return;
    this.focus();
    if (target.closest(".pick")) {
      this.selection.toggle(hash);
    } else if (ctrlKey || metaKey) {
      this.selection.toggle(hash);
    } else if (shiftKey) {
      this.selection.extend(hash, this.order.list.map((entry) => entry.hash));
    } else {
      this.selection.only(hash);
      // In a narrow window a row is a card that opens.
      const isCard = getComputedStyle(this.#table.tHead).display === "none";
      if (isCard || target.closest("[data-field=name] > bdi")) this.onOpen(hash);
    }
    // The box would show what the browser made of the click.
    this.#rows.get(hash)?.mark(this.selection.chosen.has(hash), true);
  }

  #drawNow() {
    const list = this.order.list;
    let first = 0, last = list.length;
    if (list.length > allBelow) {
      const height = this.#measure();
      const top = this.#body.getBoundingClientRect().top;
      first = Math.max(0, Math.min(list.length, Math.floor(-top / height) - margin));
      last = Math.max(first, Math.min(list.length, Math.ceil((innerHeight - top) / height) + margin));
      this.#above.firstChild.style.height = `${first * height}px`;
      this.#below.firstChild.style.height = `${(list.length - last) * height}px`;
    }
    this.#above.hidden = first === 0;
    this.#below.hidden = last === list.length;
    this.#table.setAttribute("aria-rowcount", String(list.length + 1));

    const { chosen, active } = this.selection;
    const wanted = new Set();
    let place = this.#above;
    for (let index = first; index < last; index += 1) {
      const { hash, torrent } = list[index];
      wanted.add(hash);
      let row = this.#rows.get(hash);
      const isFresh = !row;
      if (isFresh) this.#rows.set(hash, row = new Row(hash));
      if (isFresh || this.#isRearranged || this.#changed.has(hash)) row.show(torrent, index);
      row.mark(chosen.has(hash), hash === active);
      if (place.nextSibling !== row.element) place.after(row.element);
      place = row.element;
    }
    for (const [hash, row] of this.#rows) {
      if (wanted.has(hash)) continue;
      row.element.remove();
      this.#rows.delete(hash);
    }
    if (wanted.has(active)) this.#table.setAttribute("aria-activedescendant", `row-${active}`);
    else this.#table.removeAttribute("aria-activedescendant");
    this.#changed.clear();
    this.#isRearranged = false;
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

function makeSpacer() {
  return make("tr", { className: "spacer", hidden: true, "aria-hidden": "true" }, make("td", { colSpan: columns.length + 1 }));
}
