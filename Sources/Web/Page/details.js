// One torrent whole: asked of the seedbox while it is open, and again only when the torrent has changed.

import { statusText } from "./columns.js";
import { $, fill, put } from "./dom.js";
import { bytes, ratio, visible } from "./format.js";
import { FileLine, PeerLine, TrackerLine } from "./detaillines.js";

/** Answers are at least this far apart, in milliseconds. */
const pause = 3000;

export class Details {
  #feed;
  #box;
  #fileChange;
  #hash = null;
  #tab = "files";
  /** Files of earlier answers' pages stand before those of later ones. */
  #pages = 1;
  #timer = null;
  #answeredAt = 0;
  /** Counts what is asked for; an answer to an older question is not shown. */
  #question = 0;
  #isAsking = false;
  #isStale = false;

  /** `box()` is the seedbox that is shown; `fileChange(hash, index, wish)` asks for a file's priority. */
  constructor({ feed, box, fileChange }) {
    this.#feed = feed;
    this.#box = box;
    this.#fileChange = fileChange;
    $("#details-close").addEventListener("click", () => this.close());
    $("#more-files").addEventListener("click", () => {
      this.#pages += 1;
      this.#ask();
    });
    const tabs = [...$("#details-tabs").children];
    for (const tab of tabs) {
      tab.addEventListener("click", () => this.#select(tab.dataset.tab));
      tab.addEventListener("keydown", ({ key }) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
        if (!step) return;
        const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
        next.focus();
        this.#select(next.dataset.tab);
      });
    }
    document.addEventListener("visibilitychange", () => { if (this.#isStale) this.changed(); });
  }

  get hash() { return this.#hash; }

  open(hash) {
    if (!hash || hash === this.#hash) return;
    this.#hash = hash;
    document.documentElement.dataset.details = "open";
    $("#details").hidden = false;
    this.showFacts();
    this.#select(this.#tab);
  }

  /** From now on nothing is asked any more. */
  close() {
    if (this.#hash === null) return false;
    this.#hash = null;
    this.#question += 1;
    this.#isAsking = this.#isStale = false;
    clearTimeout(this.#timer);
    delete document.documentElement.dataset.details;
    $("#details").hidden = true;
    this.#empty();
    return true;
  }

  /** The torrent has changed, or may have. */
  changed() {
    if (this.#hash === null) return;
    this.showFacts();
    this.#isStale = true;
    if (this.#isAsking || document.hidden) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), Math.max(0, this.#answeredAt + pause - Date.now()));
  }

  showFacts() {
    const torrent = this.#box()?.torrents.get(this.#hash);
    if (!torrent) {
      this.close();
      return;
    }
    put($("#details-name"), visible(torrent.name ?? this.#hash));
    const facts = {
      status: statusText(torrent), size: bytes(torrent.size), downloaded: bytes(torrent.downloaded),
      uploaded: `${bytes(torrent.uploaded)} (ratio ${ratio(torrent.ratio)})`, directory: visible(torrent.directory ?? "–"),
      labels: (torrent.labels ?? []).map(visible).join(", ") || "–",
      added: torrent.added > 0 ? new Date(torrent.added * 1000).toLocaleString() : "–", hash: this.#hash,
    };
    for (const [name, text] of Object.entries(facts)) put($(`[data-fact=${name}]`), text);
    const fault = $("#details-fault");
    fault.hidden = !(torrent.error > 0);
    put(fault, torrent.error > 0 ? visible(torrent.message ?? "Something is wrong with this torrent.") : "");
  }

  #select(name) {
    this.#tab = name;
    this.#pages = 1;
    for (const tab of $("#details-tabs").children) {
      tab.setAttribute("aria-selected", String(tab.dataset.tab === name));
      tab.tabIndex = tab.dataset.tab === name ? 0 : -1;
    }
    $("#details-panel").setAttribute("aria-labelledby", `tab-${name}`);
    this.#empty();
    put($("#details-note"), "Asking the seedbox …");
    this.#ask();
  }

  #empty() {
    fill($("#details-list"), [], null);
    $("#more-files").hidden = true;
    put($("#details-note"), "");
  }

  async #ask() {
    clearTimeout(this.#timer);
    const question = this.#question += 1;
    const hash = this.#hash, tab = this.#tab;
    this.#isAsking = true;
    this.#isStale = false;
    try {
      const answer = await this.#pagesOf(hash, tab, question);
      if (question !== this.#question) return;
      this.#show(hash, tab, answer);
    } catch (error) {
      if (question !== this.#question) return;
      put($("#details-note"), visible(error.message));
    }
    this.#answeredAt = Date.now();
    this.#isAsking = false;
    if (this.#isStale) this.changed();
  }

  async #pagesOf(hash, tab, question) {
    const procedure = `farseed.${this.#box().name}.torrent.get`;
    const answer = await this.#feed.call(procedure, { hash, details: [tab] });
    for (let page = 1; page < this.#pages && question === this.#question; page += 1) {
      const next = await this.#feed.call(procedure, { hash, details: [tab], files_from: answer.files.length });
      answer.files.push(...next.files);
    }
    return answer;
  }

  #show(hash, tab, answer) {
    const list = $("#details-list");
    const items = answer[tab] ?? [];
    const mayChange = document.documentElement.dataset.may === "change";
    switch (tab) {
      case "files": {
        const wish = mayChange ? (index, value) => this.#fileChange(hash, index, value) : null;
        fill(list, items, () => new FileLine(wish));
        break;
      }
      case "peers": fill(list, items, () => new PeerLine()); break;
      case "trackers": fill(list, items, () => new TrackerLine()); break;
    }
    const rest = tab === "files" ? (answer.files_count ?? 0) - items.length : 0;
    $("#more-files").hidden = rest <= 0;
    put($("#more-files"), `Show more of the other ${rest} files`);
    put($("#details-note"), items.length > 0 ? "" : { files: "No files are known yet.", peers: "No peers now.", trackers: "No trackers." }[tab]);
  }
}
