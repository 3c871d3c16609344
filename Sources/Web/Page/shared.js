// The feed as a tab has it: the shared worker's where there is one, otherwise its own.

import { apply } from "./delta.js";
import { Feed } from "./feed.js";
import { WampError } from "./wamp.js";

/** The only script that the page ever starts by itself. */
const hub = "/hub.js";
/** A worker that has not begun by then is done without, in milliseconds. */
const hubWithin = 10_000;

/** Looks like a `Feed`, and only mirrors the one in the worker. */
class SharedFeed extends EventTarget {
  state = "down";
  boxes = new Map();
  jobs = new Map();
  role = null;
  clockOffset = 0;
  #port;
  #lastCall = 0;
  #calls = new Map();

  constructor(port) {
    super();
    this.#port = port;
    port.onmessage = ({ data }) => this.#received(data);
    // A page that goes may come back from the browser's memory; until then nothing is kept for it.
    addEventListener("pagehide", () => port.postMessage({ type: "bye" }));
    addEventListener("pageshow", ({ persisted }) => { if (persisted) this.start(); });
  }

  start() { this.#port.postMessage({ type: "hello" }); }
  wake() { this.#port.postMessage({ type: "wake" }); }
  restart() { this.#port.postMessage({ type: "restart" }); }
  logout() { this.#port.postMessage({ type: "logout" }); }

  call(procedure, kwargs) {
    const id = ++this.#lastCall;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#port.postMessage({ type: "call", id, procedure, kwargs });
    });
  }

  #received(message) {
    switch (message.type) {
      case "whole":
        this.#note(message);
        this.boxes = new Map(message.boxes.map((box) => [box.name, box]));
        this.jobs = new Map(message.jobs.map((job) => [job.id, job]));
        this.dispatchEvent(new Event("boxes"));
        this.#tell("jobs", { jobs: message.jobs, isFull: true });
        this.dispatchEvent(new Event("state"));
        break;
      case "state":
        this.#note(message);
        if (message.state === "login") {
          this.boxes.clear();
          this.jobs.clear();
        }
        this.dispatchEvent(new Event("state"));
        break;
      case "link":
      case "host": {
        const box = this.#merge(message.box);
        if (box) this.#tell(message.type, { box });
        break;
      }
      case "torrents": {
        const box = this.#merge(message.box);
        if (!box) break;
        const { isFull, changed, removed } = message;
        if (!isFull) apply(box.torrents, changed, removed);
        this.#tell("torrents", { box, isFull, changed, removed });
        break;
      }
      case "jobs":
        this.jobs = new Map(message.known.map((id) => [id, this.jobs.get(id)]));
        for (const job of message.jobs) if (this.jobs.has(job.id)) this.jobs.set(job.id, job);
        this.#tell("jobs", { jobs: message.jobs, isFull: message.isFull });
        break;
      case "answer": {
        const call = this.#calls.get(message.id);
        this.#calls.delete(message.id);
        if (message.error) call?.reject(new WampError(message.error.uri, message.error.message));
        else call?.resolve(message.result);
        break;
      }
    }
  }

  #note({ state, role, clockOffset }) {
    Object.assign(this, { state, role, clockOffset });
  }

  #merge(news) {
    const box = this.boxes.get(news.name);
    return box && Object.assign(box, news);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

export async function makeFeed() {
  const port = await openHub();
  return port ? new SharedFeed(port) : new Feed();
}

/** The port of the shared worker, once that has begun; null where there is none. */
function openHub() {
  if (typeof SharedWorker !== "function") return null;
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(null), hubWithin);
    const settle = (port) => {
      clearTimeout(timer);
      resolve(port);
    };
    try {
      const policy = globalThis.trustedTypes?.createPolicy("farseed", {
        createScriptURL(url) {
          if (url !== hub) throw new TypeError("No other script may be started.");
          return url;
        },
      });
      const worker = new SharedWorker(policy ? policy.createScriptURL(hub) : hub, { type: "module", name: "farseed" });
      worker.onerror = () => settle(null);
      worker.port.onmessage = () => settle(worker.port);
    } catch {
      settle(null);
    }
  });
}
