// Adds torrents: magnet links, addresses and .torrent files, typed, picked, pasted or dropped onto the page.

import { $, make, put } from "./dom.js";
import { bytes, visible } from "./format.js";
import { labelsOf } from "./jobtext.js";
import { packed, partSize } from "./packed.js";

/** The agent takes no larger .torrent file. */
const largestFile = 8 * 1024 * 1024;

const isLink = (line) => /^magnet:\?/i.test(line) || /^https?:\/\//i.test(line);

/** The name that a magnet link gives, or the end of an address. */
function linkName(link) {
  try {
    const url = new URL(link);
    return url.searchParams.get("dn") || (url.protocol === "magnet:" ? "a magnet link" : url.pathname.split("/").pop() || url.host);
  } catch {
    return "a link";
  }
}

export class AddDialog {
  #dialog = $("#add-dialog");
  #form = $("#add-form");
  #box;
  #outbox;
  #files = [];

  /** `box()` is the seedbox that is shown, `mayAdd()` whether anything may be added to it. */
  constructor({ box, outbox, mayAdd }) {
    this.#box = box;
    this.#outbox = outbox;
    $("#add").addEventListener("click", () => this.#open());
    $(".cancel", this.#dialog).addEventListener("click", () => this.#dialog.close());
    this.#form.elements.files.addEventListener("change", ({ target }) => {
      this.#take([...target.files]);
      target.value = "";
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#dialog.addEventListener("close", () => this.#reset());
    this.#listenToDrops(mayAdd);
    addEventListener("paste", ({ target, clipboardData }) => {
      const text = clipboardData?.getData("text/plain").trim() ?? "";
      if (!mayAdd() || /^(INPUT|TEXTAREA)$/.test(target.tagName) || !/^magnet:\?/i.test(text)) return;
      this.#open(text);
    });
  }

  #listenToDrops(mayAdd) {
    const root = document.documentElement;
    const isWanted = ({ dataTransfer }) => mayAdd()
      && ["Files", "text/uri-list", "text/plain"].some((type) => dataTransfer.types.includes(type))
      && !$("dialog[open]:not(#add-dialog)");
    addEventListener("dragover", (event) => {
      if (!isWanted(event)) return;
      event.preventDefault();
      root.classList.add("dropping");
    });
    addEventListener("dragleave", ({ relatedTarget }) => { if (!relatedTarget) root.classList.remove("dropping"); });
    addEventListener("drop", (event) => {
      root.classList.remove("dropping");
      if (!isWanted(event)) return;
      event.preventDefault();
      const { files } = event.dataTransfer;
      const text = event.dataTransfer.getData("text/uri-list") || event.dataTransfer.getData("text/plain");
      this.#open(files.length > 0 ? "" : text, [...files]);
    });
  }

  #open(text = "", files = []) {
    const links = this.#form.elements.links;
    const lines = text.split(/\s+/).filter(isLink);
    if (lines.length > 0) links.value = [links.value.trim(), ...lines].filter(Boolean).join("\n");
    const known = new Set([...this.#box()?.torrents.values() ?? []].flatMap((torrent) => torrent.labels ?? []));
    $("#known-labels").replaceChildren(...[...known].sort().slice(0, 100).map((value) => make("option", { value })));
    this.#take(files);
    if (!this.#dialog.open) this.#dialog.showModal();
    links.focus();
  }

  #reset() {
    this.#form.reset();
    this.#files = [];
    this.#showFiles();
    put($("#add-problem"), "");
  }

  #take(files) {
    const tooLarge = files.find((file) => file.size > largestFile);
    put($("#add-problem"), tooLarge
      ? `${visible(tooLarge.name)} has more than ${bytes(largestFile)}: that is more than the seedbox takes.` : "");
    this.#files.push(...files.filter((file) => file.size <= largestFile));
    this.#showFiles();
  }

  #showFiles() {
    $("#add-files").replaceChildren(...this.#files.map((file) => {
      const button = make("button", {
        type: "button", className: "quiet", textContent: "Leave out", "aria-label": `Leave out ${visible(file.name)}`,
      });
      button.addEventListener("click", () => {
        this.#files = this.#files.filter((other) => other !== file);
        this.#showFiles();
      });
      return make("li", {}, make("bdi", { textContent: visible(file.name) }), make("span", { textContent: bytes(file.size) }), button);
    }));
  }

  async #submit() {
    const { links, labels, paused } = this.#form.elements;
    const lines = links.value.split(/\s+/).filter(Boolean);
    const wrong = lines.find((line) => !isLink(line));
    if (wrong || lines.length + this.#files.length === 0) {
      put($("#add-problem"), wrong ? `“${visible(wrong).slice(0, 60)}” is no magnet link and no address.`
        : "Give a magnet link or an address, or choose a .torrent file.");
      return;
    }
    const box = this.#box().name;
    const named = labelsOf(labels.value);
    const options = { paused: paused.checked, ...(named.length > 0 ? { labels: named } : {}) };
    const files = this.#files;
    this.#dialog.close();
    for (const link of lines) {
      const kind = /^magnet:/i.test(link) ? "magnet" : "url";
      this.#outbox.submit(box, "torrent.add", { [kind]: link, ...options }, `Add ${visible(linkName(link))}`);
    }
    for (const file of files) {
      const title = `Add ${visible(file.name)}`;
      if (file.size > partSize) this.#outbox.submit(box, "torrent.add", options, title, file);
      else this.#outbox.submit(box, "torrent.add", { metainfo: await packed(file), ...options }, title);
    }
  }
}
