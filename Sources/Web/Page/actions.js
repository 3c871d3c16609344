// What can be done with the chosen torrents: the bar at the bottom.

import { $, put } from "./dom.js";
import { named } from "./jobtext.js";

export class Actions {
  #box;
  #selection;
  #outbox;

  /** `box()` is the seedbox that is shown; `open`, `edit` and `remove` get what they need to go on. */
  constructor({ box, selection, outbox, open, edit, remove }) {
    this.#box = box;
    this.#selection = selection;
    this.#outbox = outbox;
    for (const button of $("#actions").querySelectorAll("[data-verb]")) {
      button.addEventListener("click", () => this.#submit(button.dataset.verb, button.textContent));
    }
    $("#open-details").addEventListener("click", () => open(
      selection.chosen.has(selection.active) ? selection.active : [...selection.chosen][0]
    ));
    $("#edit").addEventListener("click", () => edit(this.targets));
    $("#remove").addEventListener("click", () => remove(this.targets));
    $("#unchoose").addEventListener("click", () => selection.only(null));
  }

  /** The chosen torrents as entries of the seedbox's map. */
  get targets() {
    const torrents = this.#box()?.torrents;
    return [...this.#selection.chosen].filter((hash) => torrents?.has(hash)).map((hash) => [hash, torrents.get(hash)]);
  }

  show(mayChange) {
    const targets = this.targets;
    $("#actions").hidden = !mayChange || targets.length === 0;
    put($("#chosen"), targets.length === 1 ? named([targets[0][1]]) : `${targets.length} chosen`);
  }

  #submit(verb, title) {
    const targets = this.targets;
    if (targets.length === 0) return;
    const torrents = targets.map(([, torrent]) => torrent);
    this.#outbox.submit(this.#box().name, verb, { hashes: targets.map(([hash]) => hash) }, `${title} ${named(torrents)}`);
  }
}
