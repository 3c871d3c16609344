// What the page knows: keeps one WAMP session, follows the boxes' topics, and tells of every change. Runs in the page or,
// for all tabs together, in a shared worker.

import { receive } from "./delta.js";
import { post } from "./post.js";
import { Wamp, WampError } from "./wamp.js";

/** Waits between attempts, in milliseconds: doubled each time, with jitter. */
const firstWait = 500, longestWait = 20_000;

/** Newest jobs that are kept; older ones are asked for by `farseed jobs`. */
const mostJobs = 200;

export class Feed extends EventTarget {
  /** `login`: nobody is logged in; `down`: no session now; `up`: there is one. */
  state = "down";
  /** By name: `{ torrents: Map, epoch, seq, link, host, dataAt }`. */
  boxes = new Map();
  /** By number, as `farseed.jobs` tells them. */
  jobs = new Map();
  /** Of who is logged in; what it may do is decided by the server. */
  role = null;
  /** The server's clock less ours, in milliseconds. */
  clockOffset = 0;

  #wamp = null;
  #wait = firstWait;
  #timer = null;
  #generation = 0;

  start() {
    this.#connect();
  }

  /** Nobody looks any more. */
  stop() {
    this.#leave();
    this.#set("down");
  }

  /** Somebody looks, or the network is back: a wait under way ends now. */
  wake() {
    this.#soon(0);
  }

  /** After logging in, perhaps as somebody else. */
  restart() {
    this.#leave();
    this.#forget();
    this.#wait = firstWait;
    this.#set("down");
    this.#connect();
  }

  async logout() {
    await post("/api/logout").catch(() => {});
    this.#leave();
    this.#forget();
  }

  /** Calls a procedure; resolves to the result's keyword arguments. */
  async call(procedure, kwargs) {
    if (!this.#wamp) throw new WampError("farseed.connection", "There is no connection to Farseed at home now.");
    return this.#wamp.call(procedure, kwargs);
  }

  /** Nobody is logged in: what a login saw does not outlast it. */
  #forget() {
    this.boxes.clear();
    this.jobs.clear();
    this.role = null;
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
        this.#forget();
        return;
      }
      if (!response.ok) throw new Error(`The server answered ${response.status}.`);
      const date = Date.parse(response.headers.get("date") ?? "");
      if (!isNaN(date)) this.clockOffset = date + 500 - Date.now();
      const { ticket, user, role } = await response.json();
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
      this.role = role;
      const { boxes } = await wamp.call("farseed.boxes");
      if (!isCurrent()) return;
      this.#know(boxes.map((box) => box.name));
      await Promise.all([
        ...boxes.flatMap((box) => this.#follow(wamp, box, isCurrent)), this.#followJobs(wamp, isCurrent),
      ]);
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
        this.boxes.set(name, { name, torrents: new Map(), epoch: null, seq: null, link: null, host: null, dataAt: null, isSyncing: false });
      }
    }
    this.dispatchEvent(new Event("boxes"));
  }

  #follow(wamp, { name, torrents = `farseed.${name}.torrents` }, isCurrent) {
    const box = this.boxes.get(name);
    // What is shown stays until the new session's first state; deltas mean nothing before it.
    box.epoch = box.seq = null;
    box.isSyncing = false;
    return [
      wamp.subscribe(torrents, (event) => {
        if (isCurrent()) this.#torrents(wamp, box, event);
      }),
      wamp.subscribe(`farseed.link.${name}`, (link) => {
        if (!isCurrent()) return;
        box.link = link;
        if (link.data_at) box.dataAt = Math.max(box.dataAt ?? 0, link.data_at);
        this.#tell("link", { box });
      }),
      // Guests may not know of the host, nor of others' changes.
      ...(this.role === "guest" ? [] : [wamp.subscribe(`farseed.${name}.host`, ({ figures }) => {
        if (!isCurrent()) return;
        box.host = figures;
        this.#tell("host", { box });
      })]),
    ].map((promise) => promise.catch(tolerate));
  }

  async #followJobs(wamp, isCurrent) {
    if (this.role === "guest") return;
    await wamp.subscribe("farseed.jobs", ({ jobs }, { retained }) => {
      if (!isCurrent()) return;
      if (retained) this.jobs.clear();
      for (const job of jobs) this.jobs.set(job.id, job);
      const surplus = [...this.jobs.keys()].sort((a, b) => a - b).slice(0, -mostJobs);
      for (const id of surplus) this.jobs.delete(id);
      this.#tell("jobs", { jobs, isFull: Boolean(retained) });
    }).catch(tolerate);
  }

  #torrents(wamp, box, event) {
    switch (receive(box, event)) {
      case "full":
        box.isSyncing = false;
        this.#tell("torrents", { box, isFull: true, changed: {}, removed: [] });
        break;
      case "delta":
        box.dataAt = Date.now() + this.clockOffset;
        this.#tell("torrents", { box, isFull: false, changed: event.set ?? {}, removed: event.del ?? [] });
        break;
      case "gap": this.#sync(wamp, box); break;
    }
  }

  /** A delta is missing: asks for everything, once at a time. */
  async #sync(wamp, box) {
    if (box.isSyncing) return;
    box.isSyncing = true;
    try {
      const state = await wamp.call(`farseed.${box.name}.sync`);
      if (this.#wamp === wamp && box.isSyncing) this.#torrents(wamp, box, state);
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

/** What this account may not see stays empty; only a lost connection ends the session. */
function tolerate(error) {
  if (error.uri === "farseed.connection") throw error;
}
