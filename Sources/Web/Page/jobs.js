// Shows the outbox: what is under way or has just ended, and on demand everything that is known.

import { $, fill, make, put } from "./dom.js";
import { visible } from "./format.js";
import { jobState, jobTitle } from "./jobtext.js";

/** A change that is done is shown this long, in milliseconds; one that failed until it is dismissed. */
const doneFor = 10_000;
/** Lines shown of what is under way. */
const mostCurrent = 4;

class JobLine {
  #title = make("bdi", { className: "what" });
  #state = make("span", { className: "how" });
  #button = make("button", { type: "button", className: "quiet" });
  element = make("li", {}, this.#title, this.#state, this.#button);
  #act = null;

  constructor() {
    this.#button.addEventListener("click", () => this.#act?.());
  }

  show({ id, title, state, text, action }) {
    const data = this.element.dataset;
    if (data.state !== state) data.state = state;
    if (data.job !== id) data.job = id;
    put(this.#title, title);
    put(this.#state, text);
    this.#title.title = title;
    this.#act = action?.act;
    this.#button.hidden = !action;
    if (!action) return;
    put(this.#button, action.name);
    this.#button.setAttribute("aria-label", `${action.name}: ${title}`);
  }
}

export class Jobs {
  #feed;
  #outbox;
  /** Ended jobs that are still shown, by number. */
  #fresh = new Set();
  /** Titles by number: a torrent's name is not known any more once it is removed. */
  #titles = new Map();
  #frame = 0;

  constructor(feed, outbox) {
    this.#feed = feed;
    this.#outbox = outbox;
    feed.addEventListener("jobs", ({ detail }) => this.#received(detail));
    for (const type of ["state", "link", "boxes"]) feed.addEventListener(type, () => this.#draw());
    outbox.addEventListener("change", () => this.#draw());
    $("#jobs-all").addEventListener("click", () => this.toggle());
  }

  get isOpen() { return $("#jobs-all").getAttribute("aria-expanded") === "true"; }

  toggle() {
    $("#jobs-all").setAttribute("aria-expanded", String(!this.isOpen));
    this.#draw();
  }

  #received({ jobs, isFull }) {
    for (const job of jobs) {
      if (isFull) continue;
      if (job.ended) this.#fresh.add(job.id);
      if (job.state === "done" || job.state === "cancelled") setTimeout(() => this.#forget(job.id), doneFor);
    }
    this.#draw();
  }

  #forget(id) {
    this.#fresh.delete(id);
    this.#draw();
  }

  #draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#drawNow();
    });
  }

  #drawNow() {
    const mayChange = document.documentElement.dataset.may === "change";
    const jobs = [...this.#feed.jobs.values()].sort((a, b) => b.id - a.id);
    for (const id of this.#titles.keys()) if (!this.#feed.jobs.has(id)) this.#titles.delete(id);
    const open = jobs.filter((job) => !job.ended).map((job) => this.#line(job));
    const fresh = jobs.filter((job) => this.#fresh.has(job.id)).map((job) => this.#line(job));
    const pending = [...this.#outbox.pending.values()].reverse().map((change) => this.#pendingLine(change));
    const current = [...pending, ...open, ...fresh];
    const isOpen = this.isOpen;
    const shown = isOpen ? [...pending, ...jobs.map((job) => this.#line(job))] : current.slice(0, mostCurrent);
    $("#jobs").hidden = !mayChange || (shown.length === 0 && !isOpen);
    fill($("#jobs-list"), mayChange ? shown : [], () => new JobLine());
    const rest = current.length - shown.length;
    put($("#jobs-rest"), isOpen && shown.length === 0 ? "Nothing has been changed yet." : rest > 0 ? `and ${rest} more` : "");
    const waiting = pending.filter(({ state }) => state !== "failed").length + open.length;
    $("#jobs-all").hidden = !mayChange;
    put($("#jobs-all .count"), waiting > 0 ? String(waiting) : "");
  }

  #line(job) {
    const box = this.#feed.boxes.get(job.box);
    const isLive = this.#feed.state === "up" && box?.link?.state === "live";
    const title = this.#outbox.titles.get(job.key) ?? this.#titles.get(job.id) ?? jobTitle(job, box?.torrents);
    if (box?.torrents.size) this.#titles.set(job.id, title);
    let action = null;
    if (job.undoable) action = { name: "Undo", act: () => this.#outbox.undo(job.id) };
    else if (job.state === "accepted" || job.state === "waiting") action = { name: "Cancel", act: () => this.#outbox.cancel(job.id) };
    else if (this.#fresh.has(job.id) && job.state !== "done") action = { name: "Dismiss", act: () => this.#forget(job.id) };
    return { id: String(job.id), title, state: job.state, text: jobState(job, isLive), action };
  }

  #pendingLine({ key, title, state, message }) {
    if (state !== "refused") return { id: "", title, state: "waiting", text: "waiting for Farseed at home", action: null };
    return {
      id: "", title, state: "failed", text: `refused: ${visible(message)}`,
      action: { name: "Dismiss", act: () => this.#outbox.dismiss(key) },
    };
  }
}
