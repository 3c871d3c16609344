// One row of the table and what it shows, so that only what differs is written.

import { columns, mood } from "./columns.js";
import { make, makeProgress } from "./dom.js";
import { duration, percent, visible } from "./format.js";

/** Labels shown beside a name. */
const mostLabels = 4;

export class Row {
  #shown = {};
  #cells = {};

  constructor(hash) {
    this.hash = hash;
    const cells = this.#cells;
    cells.pick = make("input", { type: "checkbox", tabIndex: -1 });
    this.element = make("tr", { id: `row-${hash}`, data: { hash } }, make("td", { className: "pick" }, cells.pick));
    for (const column of columns) {
      let cell;
      if (column.field === "name") {
        cells.name = make("bdi");
        cells.labels = make("span", { className: "labels" });
        cell = cells.nameCell = make("td", { data: { field: "name" } }, cells.name, cells.labels);
      } else if (column.field === "progress") {
        const { bar, figure } = makeProgress();
        Object.assign(cells, { bar, percent: figure });
        cell = make("td", { className: "progress" }, bar, figure);
      } else {
        cell = cells[column.field] = make("td", { data: { field: column.field } });
        if (column.isFigure) cell.className = "figure";
      }
      this.element.append(cell);
    }
  }

  #put(key, value, write) {
    if (this.#shown[key] === value) return;
    this.#shown[key] = value;
    write(value);
  }

  show(torrent, index) {
    const cells = this.#cells;
    const name = visible(torrent.name ?? this.hash);
    const message = torrent.error > 0 && torrent.message ? visible(torrent.message) : "";
    this.#put("index", index, (v) => this.element.setAttribute("aria-rowindex", String(v + 2)));
    this.#put("mood", mood(torrent), (v) => { this.element.dataset.mood = v; });
    this.#put("name", name, (v) => {
      cells.name.textContent = v;
      cells.pick.setAttribute("aria-label", `Choose ${v}`);
    });
    this.#put("title", message ? `${name}\n${message}` : name, (v) => { cells.nameCell.title = v; });
    const labels = torrent.labels ?? [];
    this.#put("labels", labels.join("\n"), () => {
      cells.labels.replaceChildren(...labels.slice(0, mostLabels).map((label) => make("bdi", { textContent: visible(label) })));
    });
    this.#put("progress", Math.min(1, Math.max(0, torrent.progress ?? 0)), (v) => {
      cells.bar.value = v;
      cells.bar.setAttribute("value", String(v));
    });
    this.#put("percent", percent(torrent.progress), (v) => { cells.percent.textContent = v; });
    for (const column of columns) {
      if (column.text) this.#put(column.field, column.text(torrent), (v) => { cells[column.field].textContent = v; });
    }
    this.#put("etaTitle", torrent.eta > 0 ? duration(torrent.eta) : "", (v) => { cells.eta.title = v; });
    this.#put("message", message, (v) => { cells.status.title = v; });
  }

  mark(isChosen, isActive) {
    this.#put("chosen", isChosen, (v) => {
      this.element.setAttribute("aria-selected", String(v));
      this.#cells.pick.checked = v;
    });
    this.#put("active", isActive, (v) => { this.element.classList.toggle("active", v); });
  }
}
