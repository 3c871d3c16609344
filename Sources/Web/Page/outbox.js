// Hands changes to the outbox at home. Each has a key of its own, so that it may be sent again when an answer was lost.

import { packed, partSize } from "./packed.js";

/** 32 hex digits. */
function makeKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Outbox extends EventTarget {
  /** By key: what is not in the outbox yet, `{ key, title, state, message }`; `refused` ones until they are dismissed. */
  pending = new Map();
  /** By key: what this page calls a change that it asked for. */
  titles = new Map();
  #feed;
  #turn = Promise.resolve();

  constructor(feed) {
    super();
    this.#feed = feed;
    feed.addEventListener("state", () => {
      if (feed.state === "login") this.#clear();
      if (feed.state === "up") this.#again();
    });
    feed.addEventListener("jobs", ({ detail }) => {
      for (const job of detail.jobs) this.pending.delete(job.key);
    });
  }

  /** A `file` that is too large for one message goes before the command, in parts. */
  submit(box, verb, kwargs, title, file = null) {
    const key = makeKey();
    this.titles.set(key, title);
    const change = { key, title, state: "sending", message: "", procedure: `farseed.${box}.${verb}`, kwargs: { ...kwargs, key }, file };
    this.pending.set(key, change);
    this.#send(change);
  }

  cancel(id) { return this.#ask("farseed.job.cancel", id); }
  undo(id) { return this.#ask("farseed.job.undo", id); }

  dismiss(key) {
    this.pending.delete(key);
    this.#changed();
  }

  async #send(change) {
    change.state = "sending";
    this.#changed();
    try {
      // It stays until `farseed.jobs` tells of it, so that it is always seen in one place or the other.
      await (change.file ? this.#inTurn(() => this.#call(change)) : this.#call(change));
    } catch (error) {
      change.state = error.uri === "farseed.connection" ? "waiting" : "refused";
      change.message = error.message;
    }
    this.#changed();
  }

  async #call(change) {
    const upload = change.file ? { upload: await this.#upload(change.file) } : {};
    await this.#feed.call(change.procedure, { ...change.kwargs, ...upload });
  }

  /** One file at a time: the controller keeps few on their way. */
  #inTurn(action) {
    const done = this.#turn.then(action);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** The name by which the controller keeps the file for a moment. */
  async #upload(file) {
    let known = {};
    for (let at = 0; at < file.size; at += partSize) {
      const bytes = await packed(file.slice(at, at + partSize));
      const { id } = await this.#feed.call("farseed.upload", { bytes, ...known });
      known = { id };
    }
    return known.id;
  }

  /** A job that has changed meanwhile says no in a sentence, which is shown like a change of its own. */
  async #ask(procedure, id) {
    try {
      await this.#feed.call(procedure, { id });
    } catch (error) {
      const key = makeKey();
      this.pending.set(key, { key, title: `Change ${id}`, state: "refused", message: error.message });
      this.#changed();
    }
  }

  #again() {
    for (const change of this.pending.values()) if (change.state === "waiting") this.#send(change);
  }

  /** What one login asked for is not sent by another. */
  #clear() {
    this.pending.clear();
    this.titles.clear();
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
