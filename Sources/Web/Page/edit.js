// Changes the chosen torrents, moves and renames them, and gives them another place in the queue: only what somebody has
// touched is sent.

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

/** What is a command of its own; `kwargs` are its arguments besides the hashes. */
const commands = [
  {
    name: "directory", verb: "torrent.move", title: "Move", text: ({ directory }) => directory ?? "",
    kwargs: (value) => ({ directory: value, move_data: true }),
  },
  { name: "queue", verb: "torrent.queue", title: "Queue", text: () => "", kwargs: (value) => ({ to: value }) },
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
    for (const { name, text } of [...fields, ...commands]) {
      const input = this.#form.elements[name];
      const value = common(torrents, text);
      input.value = value ?? "";
      if (input.tagName === "INPUT") input.placeholder = value === null ? "differ; left as they are" : input.dataset.empty ?? "";
      this.#before[name] = input.value;
    }
    const rename = this.#form.elements.name;
    rename.value = this.#before.name = torrents.length === 1 ? torrents[0].name ?? "" : "";
    rename.placeholder = torrents.length === 1 ? "" : "one at a time";
    // Text as it is shown cannot be told from what it stands for, so this is left to the command line.
    for (const name of ["labels", "name", "directory"]) {
      const input = this.#form.elements[name];
      input.disabled = visible(input.value) !== input.value;
    }
    rename.disabled ||= torrents.length !== 1;
    this.#dialog.showModal();
  }

  #submit() {
    /** What is in a field that was touched; undefined in any other. */
    const touched = (name) => {
      const { value, disabled } = this.#form.elements[name];
      return !disabled && value !== this.#before[name] ? value : undefined;
    };
    const hashes = this.#targets.map(([hash]) => hash);
    const what = named(this.#targets.map(([, torrent]) => torrent));
    const change = {};
    for (const { name, read } of fields) {
      const value = touched(name);
      if (value !== undefined) change[name] = read(value);
    }
    const name = touched("name")?.trim();
    this.#dialog.close();
    if (Object.keys(change).length > 0) this.#outbox.submit(this.#box, "torrent.set", { hashes, ...change }, `Change ${what}`);
    for (const { name, verb, title, kwargs } of commands) {
      const value = touched(name);
      if (value) this.#outbox.submit(this.#box, verb, { hashes, ...kwargs(value) }, `${title} ${what}`);
    }
    if (name) {
      const path = this.#before.name;
      this.#outbox.submit(this.#box, "torrent.rename", { hash: hashes[0], path, name }, `Rename ${what}`);
    }
  }
}
