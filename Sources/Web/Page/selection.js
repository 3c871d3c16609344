// Which torrents are chosen for an action, and which one the keys move from; pure.

export class Selection {
  /** Hashes. */
  chosen = new Set();
  /** The hash that the keys stand at. */
  active = null;
  /** Called after each change. */
  onChange = () => {};
  /** Where a range began. */
  #anchor = null;

  only(hash) {
    this.#set(hash === null ? [] : [hash], hash);
  }

  toggle(hash) {
    const chosen = new Set(this.chosen);
    if (!chosen.delete(hash)) chosen.add(hash);
    this.#set(chosen, hash);
  }

  /** From where the last choice was to `hash`, in the order of `hashes`. */
  extend(hash, hashes) {
    const from = hashes.indexOf(this.#anchor), to = hashes.indexOf(hash);
    if (from < 0) {
      this.only(hash);
      return;
    }
    this.#set(hashes.slice(Math.min(from, to), Math.max(from, to) + 1), hash, this.#anchor);
  }

  all(hashes) {
    this.#set(hashes, this.active);
  }

  /** Forgets what `isThere` no longer knows. */
  keep(isThere) {
    const chosen = [...this.chosen].filter(isThere);
    const active = this.active !== null && isThere(this.active) ? this.active : null;
    if (chosen.length !== this.chosen.size || active !== this.active) this.#set(chosen, active);
  }

  #set(chosen, active, anchor = active) {
    this.chosen = new Set(chosen);
    this.active = active;
    this.#anchor = anchor;
    this.onChange();
  }
}
