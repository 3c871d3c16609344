// The feed as a tab has it: the shared worker's where there is one, otherwise its own.

import { Feed, apply } from "./feed.js";

/** Looks like a `Feed`, and only mirrors the one in the worker. */
class SharedFeed extends EventTarget {
  state = "down";
  boxes = new Map();
  clockOffset = 0;
  #port;

  constructor(port) {
    super();
    this.#port = port;
    port.onmessage = ({ data }) => this.#received(data);
    // A page that goes may come back from the browser's memory; until then nothing is kept for it.
    addEventListener("pagehide", () => port.postMessage("bye"));
    addEventListener("pageshow", ({ persisted }) => { if (persisted) port.postMessage("hello"); });
  }

  start() { this.#port.postMessage("hello"); }
  wake() { this.#port.postMessage("wake"); }
  restart() { this.#port.postMessage("restart"); }
  logout() { this.#port.postMessage("logout"); }

  #received(message) {
    switch (message.type) {
      case "whole":
        this.clockOffset = message.clockOffset;
        this.state = message.state;
        this.boxes = new Map(message.boxes.map((box) => [box.name, box]));
        this.dispatchEvent(new Event("boxes"));
        this.dispatchEvent(new Event("state"));
        break;
      case "state":
        this.clockOffset = message.clockOffset;
        this.state = message.state;
        if (message.state === "login") this.boxes.clear();
        this.dispatchEvent(new Event("state"));
        break;
      case "link": {
        const box = this.#merge(message.box);
        if (box) this.#tell("link", { box });
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
    }
  }

  #merge(news) {
    const box = this.boxes.get(news.name);
    return box && Object.assign(box, news);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** The only script that the page ever starts by itself. */
const hub = "/hub.js";

export function makeFeed() {
  if (typeof SharedWorker !== "function") return new Feed();
  try {
    const policy = globalThis.trustedTypes?.createPolicy("farseed", {
      createScriptURL(url) {
        if (url !== hub) throw new TypeError("No other script may be started.");
        return url;
      },
    });
    const worker = new SharedWorker(policy ? policy.createScriptURL(hub) : hub, { type: "module", name: "farseed" });
    return new SharedFeed(worker.port);
  } catch {
    return new Feed();
  }
}
