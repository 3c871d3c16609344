// Asks before torrents are removed, and once more before their data are deleted.

import { $, make, put } from "./dom.js";
import { bytes, visible } from "./format.js";
import { named } from "./jobtext.js";

/** Names listed in the question. */
const mostNames = 5;

export class RemoveDialog {
  #dialog = $("#remove-dialog");
  #outbox;
  #box = null;
  #targets = [];

  constructor(outbox) {
    this.#outbox = outbox;
    const on = (id, act) => $(id).addEventListener("click", act);
    on("#remove-keep", () => this.#remove(false));
    on("#remove-data", () => this.#step(true));
    on("#remove-back", () => this.#step(false));
    on("#remove-sure", () => this.#remove(true));
    for (const button of this.#dialog.querySelectorAll(".cancel")) button.addEventListener("click", () => this.#dialog.close());
  }

  ask(box, targets) {
    if (targets.length === 0) return;
    this.#box = box.name;
    this.#targets = targets;
    const torrents = targets.map(([, torrent]) => torrent);
    const name = named(torrents);
    put($("#remove-question"), `Remove ${name}?`);
    $("#remove-names").replaceChildren(...(torrents.length === 1 ? [] : torrents.slice(0, mostNames)
      .map((torrent) => make("li", {}, make("bdi", { textContent: visible(torrent.name ?? "") })))));
    put($("#remove-more"), torrents.length > mostNames ? `and ${torrents.length - mostNames} more` : "");
    const size = torrents.reduce((sum, { size = 0, left = 0 }) => sum + Math.max(0, size - left), 0);
    put($("#remove-loss"), `Delete ${bytes(size)} of data of ${name} from the seedbox? They cannot be brought back.`);
    this.#step(false);
    this.#dialog.showModal();
    $("#remove-keep").focus();
  }

  /** The second question comes alone, and begins at its harmless answer. */
  #step(isSecond) {
    $("#remove-first").hidden = isSecond;
    $("#remove-second").hidden = !isSecond;
    if (isSecond) $("#remove-back").focus();
  }

  #remove(deletesData) {
    this.#dialog.close();
    const title = `Remove ${named(this.#targets.map(([, torrent]) => torrent))}${deletesData ? " with data" : ""}`;
    const hashes = this.#targets.map(([hash]) => hash);
    this.#outbox.submit(this.#box, "torrent.remove", { hashes, delete_data: deletesData }, title);
  }
}
