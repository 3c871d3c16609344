// Changes labels, priority and limits of the chosen torrents: only what somebody has touched is sent.

import { $, put } from "./dom.js";
import { visible } from "./format.js";
import { labelsOf, named } from "./jobtext.js";

/** The value that all have, as text; null where they differ. */
function common(torrents, text) {
  const values = new Set(torrents.map(text));
  return values.size === 1 ? [...values][0] : null;
}

const limit = (name) => (torrent) => (torrent[`${name}_limited`] ? String((torrent[`${name}_limit`] ?? 0) / 1000) : "");

/** `read` makes the argument of what is in the field. */
const fields = [
  {
    name: "labels", text: ({ labels }) => (labels ?? []).join(", "),
    read: labelsOf,
  },
  { name: "priority", text: ({ priority }) => String(priority ?? 0), read: Number },
  { name: "down_limit", text: limit("down"), read: readLimit },
  { name: "up_limit", text: limit("up"), read: readLimit },
];

/** Bytes a second of kilobytes a second; nothing is no limit. */
function readLimit(text) {
  return text.trim() === "" ? null : Math.round(Number(text) * 1000);
}

export class EditDialog {
  #dialog = $("#edit-dialog");
  #form = $("#edit-form");
  #outbox;
  #box = null;
  #targets = [];
  #before = {};

  constructor(outbox) {
    this.#outbox = outbox;
    $(".cancel", this.#dialog).addEventListener("click", () => this.#dialog.close());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  ask(box, targets) {
    if (targets.length === 0) return;
    this.#box = box.name;
    this.#targets = targets;
    const torrents = targets.map(([, torrent]) => torrent);
    put($("#edit-what"), named(torrents));
    for (const { name, text } of fields) {
      const input = this.#form.elements[name];
      const value = common(torrents, text);
      input.value = value ?? "";
      if (input.tagName === "INPUT") input.placeholder = value === null ? "differ; left as they are" : input.dataset.empty;
      this.#before[name] = input.value;
    }
    // A label as it is shown cannot be told from the one it stands for, so these are left to the command line.
    const labels = this.#form.elements.labels;
    labels.disabled = visible(labels.value) !== labels.value;
    this.#dialog.showModal();
  }

  #submit() {
    const change = {};
    for (const { name, read } of fields) {
      const { value, disabled } = this.#form.elements[name];
      if (!disabled && value !== this.#before[name]) change[name] = read(value);
    }
    this.#dialog.close();
    if (Object.keys(change).length === 0) return;
    const title = `Change ${named(this.#targets.map(([, torrent]) => torrent))}`;
    this.#outbox.submit(this.#box, "torrent.set", { hashes: this.#targets.map(([hash]) => hash), ...change }, title);
  }
}
