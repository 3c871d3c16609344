// Which torrents are shown and in which order; pure. Keeps what it has sorted, so that a delta costs little.

import { columns, groups } from "./columns.js";

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

function search({ name, labels }) {
  return [name ?? "", ...(labels ?? [])].join("\n").toLocaleLowerCase();
}

export class Order {
  /** What is shown: `{ hash, torrent }` in order. */
  list = [];
  /** By group, of all torrents. */
  counts = {};
  /** Of what is shown. */
  totals = { size: 0, down: 0, up: 0 };
  column = columns[0];
  direction = 1;

  #entries = new Map();
  /** All entries, sorted. */
  #sorted = [];
  #filter = "";
  #group = groups[0];

  /** Other torrents altogether. */
  replace(torrents) {
    this.#entries.clear();
    for (const [hash, torrent] of torrents) this.#entries.set(hash, this.#entry(hash, torrent));
    this.#sorted = [...this.#entries.values()];
    this.#sort();
  }

  /** Some torrents changed or went; `changed` names the fields of each. */
  update(torrents, changed, removed) {
    let isSorted = true;
    for (const [hash, fields] of Object.entries(changed)) {
      const torrent = torrents.get(hash);
      if (!torrent) continue;
      const entry = this.#entries.get(hash);
      if (!entry) {
        const fresh = this.#entry(hash, torrent);
        this.#entries.set(hash, fresh);
        this.#sorted.push(fresh);
        isSorted = false;
        continue;
      }
      entry.torrent = torrent;
      if ("name" in fields || "labels" in fields) entry.search = search(torrent);
      const key = this.column.sort(torrent);
      if (key !== entry.key) {
        entry.key = key;
        isSorted = false;
      }
    }
    const gone = new Set(removed.filter((hash) => this.#entries.delete(hash)));
    if (gone.size > 0) this.#sorted = this.#sorted.filter((entry) => !gone.has(entry.hash));
    if (isSorted) this.#choose(); else this.#sort();
  }

  set filter(text) {
    this.#filter = text.trim().toLocaleLowerCase();
    this.#choose();
  }

  set group(name) {
    this.#group = groups.find((group) => group.name === name) ?? groups[0];
    this.#choose();
  }

  /** Sorts by a column; by the same one again the other way round. */
  sort(field, direction) {
    const column = columns.find((column) => column.field === field) ?? columns[0];
    this.direction = direction ?? (column === this.column ? -this.direction : column.first);
    this.column = column;
    for (const entry of this.#sorted) entry.key = column.sort(entry.torrent);
    this.#sort();
  }

  indexOf(hash) {
    return this.list.findIndex((entry) => entry.hash === hash);
  }

  #entry(hash, torrent) {
    return { hash, torrent, key: this.column.sort(torrent), search: search(torrent) };
  }

  #sort() {
    const direction = this.direction;
    const compare = this.column.field === "name" ? collator.compare : (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    this.#sorted.sort((a, b) => direction * compare(a.key, b.key) || (a.hash < b.hash ? -1 : 1));
    this.#choose();
  }

  #choose() {
    const filter = this.#filter, group = this.#group;
    const counts = groups.map(() => 0);
    const list = [];
    let size = 0, down = 0, up = 0;
    for (const entry of this.#sorted) {
      const { torrent } = entry;
      groups.forEach(({ has }, index) => { if (has(torrent)) counts[index] += 1; });
      if (!group.has(torrent) || !entry.search.includes(filter)) continue;
      list.push(entry);
      size += torrent.size ?? 0;
      down += torrent.down ?? 0;
      up += torrent.up ?? 0;
    }
    this.list = list;
    this.counts = Object.fromEntries(groups.map(({ name }, index) => [name, counts[index]]));
    this.totals = { size, down, up };
  }
}
