// What the page knows: keeps one WAMP session, follows the boxes' topics, and tells of every change. Runs in the page or,
// for all tabs together, in a shared worker.

import { Wamp } from "./wamp.js";

/** Waits between attempts, in milliseconds: doubled each time, with jitter. */
const firstWait = 500, longestWait = 20_000;

/** Sends a request that changes something; the header field is one that no foreign page can send. */
export function post(path, body) {
  return fetch(path, {
    method: "POST",
    headers: { "X-Farseed": "1", ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
  });
}

/** Applies a delta to the torrents it follows on. */
export function apply(torrents, changed, removed) {
  for (const hash of removed) torrents.delete(hash);
  for (const [hash, fields] of Object.entries(changed)) {
    const torrent = torrents.get(hash);
    if (!torrent) {
      torrents.set(hash, fields);
      continue;
    }
    for (const [field, value] of Object.entries(fields)) {
      if (value === null) delete torrent[field]; else torrent[field] = value;
    }
  }
}

export class Feed extends EventTarget {
  /** `login`: nobody is logged in; `down`: no session now; `up`: there is one. */
  state = "down";
  /** By name: `{ torrents: Map, epoch, seq, link, dataAt }`. */
  boxes = new Map();
  user = null;
  /** The server's clock less ours, in milliseconds. */
  clockOffset = 0;

  #wamp = null;
  #wait = firstWait;
  #timer = null;
  #generation = 0;

  start() {
    this.#connect();
  }

  /** Somebody looks, or the network is back: a wait under way ends now. */
  wake() {
    this.#soon(0);
  }

  /** After logging in. */
  restart() {
    this.#leave();
    this.#wait = firstWait;
    this.#set("down");
    this.#connect();
  }

  async logout() {
    await post("/api/logout").catch(() => {});
    this.#leave();
    this.boxes.clear();
    this.#set("login");
  }

  #set(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  #leave() {
    this.#generation += 1;
    clearTimeout(this.#timer);
    this.#timer = null;
    const wamp = this.#wamp;
    this.#wamp = null;
    wamp?.close();
  }

  /** Tries again after a while; 0 only cuts a wait short. */
  #soon(wait) {
    if (this.#timer === null && wait === 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), wait);
  }

  async #connect() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#generation += 1;
    const generation = this.#generation;
    const isCurrent = () => generation === this.#generation;
    try {
      const response = await post("/api/ticket");
      if (!isCurrent()) return;
      if (response.status === 401) {
        this.#set("login");
        return;
      }
      if (!response.ok) throw new Error(`The server answered ${response.status}.`);
      const date = Date.parse(response.headers.get("date") ?? "");
      if (!isNaN(date)) this.clockOffset = date + 500 - Date.now();
      const { ticket, user } = await response.json();
      const wamp = await Wamp.open({
        url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`,
        realm: "farseed", user, ticket,
        closed: () => { if (isCurrent()) this.#lost(); },
      });
      if (!isCurrent()) {
        wamp.close();
        return;
      }
      this.#wamp = wamp;
      this.user = user;
      const { boxes } = await wamp.call("farseed.boxes");
      if (!isCurrent()) return;
      this.#know(boxes.map((box) => box.name));
      await Promise.all(boxes.flatMap((box) => this.#follow(wamp, box, isCurrent)));
      if (!isCurrent()) return;
      this.#wait = firstWait;
      this.#set("up");
    } catch (error) {
      if (isCurrent()) this.#lost(error);
    }
  }

  #lost() {
    const wamp = this.#wamp;
    this.#wamp = null;
    this.#generation += 1;
    wamp?.close();
    this.#set("down");
    this.#soon(this.#wait * (0.5 + Math.random()));
    this.#wait = Math.min(longestWait, this.#wait * 2);
  }

  #know(names) {
    for (const name of this.boxes.keys()) if (!names.includes(name)) this.boxes.delete(name);
    for (const name of names) {
      if (!this.boxes.has(name)) {
        this.boxes.set(name, { name, torrents: new Map(), epoch: null, seq: null, link: null, dataAt: null, isSyncing: false });
      }
    }
    this.dispatchEvent(new Event("boxes"));
  }

  #follow(wamp, { name, torrents = `farseed.${name}.torrents` }, isCurrent) {
    const box = this.boxes.get(name);
    // What is shown stays until the new session's first state; deltas mean nothing before it.
    box.epoch = box.seq = null;
    box.isSyncing = false;
    // What this account may not see stays empty; only a lost connection ends the session.
    const tolerate = (error) => { if (error.uri === "farseed.connection") throw error; };
    return [
      wamp.subscribe(torrents, (event, details) => {
        if (isCurrent()) this.#torrents(wamp, box, event, details);
      }),
      wamp.subscribe(`farseed.link.${name}`, (link) => {
        if (!isCurrent()) return;
        box.link = link;
        if (link.data_at) box.dataAt = Math.max(box.dataAt ?? 0, link.data_at);
        this.#tell("link", { box });
      }),
    ].map((promise) => promise.catch(tolerate));
  }

  #torrents(wamp, box, event, details) {
    if (event.full) {
      if (box.epoch === event.epoch && box.seq !== null && event.seq < box.seq) return;
      box.isSyncing = false;
      box.torrents = new Map(Object.entries(event.full));
      box.epoch = event.epoch;
      box.seq = event.seq;
      this.#tell("torrents", { box, isFull: true, changed: null, removed: null });
      return;
    }
    // A state may already hold what only now comes as a delta.
    if (event.epoch === box.epoch && event.seq <= box.seq) return;
    if (event.epoch !== box.epoch || event.seq !== box.seq + 1) {
      this.#sync(wamp, box);
      return;
    }
    box.seq = event.seq;
    box.dataAt = Date.now() + this.clockOffset;
    const changed = event.set ?? {}, removed = event.del ?? [];
    apply(box.torrents, changed, removed);
    this.#tell("torrents", { box, isFull: false, changed, removed });
  }

  /** A delta is missing: asks for everything, once at a time. */
  async #sync(wamp, box) {
    if (box.isSyncing) return;
    box.isSyncing = true;
    try {
      const state = await wamp.call(`farseed.${box.name}.sync`);
      if (this.#wamp === wamp && box.isSyncing) this.#torrents(wamp, box, state, {});
    } catch {
      if (this.#wamp === wamp) this.#lost();
    } finally {
      box.isSyncing = false;
    }
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
