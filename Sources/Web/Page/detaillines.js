// The lines of the details: a file, a peer, a tracker.

import { make, makeProgress, put } from "./dom.js";
import { bytes, duration, percent, rate, visible } from "./format.js";

const wishes = [["high", "high"], ["normal", "normal"], ["low", "low"], ["skip", "do not load"]];

/** How long a wish stands in the field before the seedbox's own word comes back, in milliseconds. */
const wishStands = 10_000;

function setProgress({ bar, figure }, fraction) {
  bar.value = Math.min(1, Math.max(0, fraction));
  put(figure, percent(fraction));
}

export class FileLine {
  #name = make("bdi", { className: "what" });
  #size = make("span", { className: "figure" });
  #progress = makeProgress();
  #wish;
  #until = 0;
  #index = 0;
  element;

  /** `wish(index, value)` asks for a priority; null where nothing may be changed. */
  constructor(wish) {
    this.#wish = wish ? make("select", {}, ...wishes.map(([value, textContent]) => make("option", { value, textContent })))
      : make("span", { className: "wish" });
    if (wish) {
      this.#wish.addEventListener("change", () => {
        this.#until = Date.now() + wishStands;
        wish(this.#index, this.#wish.value);
      });
    }
    this.element = make("li", {}, this.#name, make("span", { className: "progress" }, this.#progress.bar, this.#progress.figure),
      this.#size, this.#wish);
  }

  show({ name, size, done, wanted, priority }, index) {
    this.#index = index;
    const shown = visible(name);
    put(this.#name, shown);
    this.#name.title = shown;
    put(this.#size, bytes(size));
    setProgress(this.#progress, size > 0 ? done / size : 1);
    const wish = wanted ? { "-1": "low", 1: "high" }[priority] ?? "normal" : "skip";
    this.element.dataset.wish = wish;
    if (this.#wish.tagName !== "SELECT") {
      put(this.#wish, wishes.find(([value]) => value === wish)[1]);
      return;
    }
    this.#wish.setAttribute("aria-label", `Priority of ${shown}`);
    if (this.#wish.value === wish) this.#until = 0;
    else if (Date.now() >= this.#until) this.#wish.value = wish;
  }
}

export class PeerLine {
  #address = make("bdi", { className: "what" });
  #client = make("bdi", { className: "how" });
  #progress = makeProgress();
  #rates = make("span", { className: "figure" });
  element = make("li", {}, this.#address, make("span", { className: "progress" }, this.#progress.bar, this.#progress.figure),
    this.#rates, this.#client);

  show({ address, port, client, progress, down, up, flags, encrypted }) {
    put(this.#address, `${visible(address)} : ${port}`);
    put(this.#client, [visible(client), visible(flags), encrypted ? "encrypted" : ""].filter(Boolean).join(" · "));
    setProgress(this.#progress, progress);
    put(this.#rates, [down > 0 ? `↓ ${rate(down)}` : "", up > 0 ? `↑ ${rate(up)}` : ""].filter(Boolean).join(" "));
  }
}

export class TrackerLine {
  #announce = make("bdi", { className: "what" });
  #counts = make("span", { className: "how" });
  #message = make("span", { className: "how" });
  element = make("li", {}, this.#announce, this.#counts, this.#message);

  show({ announce, tier, seeders, leechers, message, succeeded, next_at: nextAt }) {
    put(this.#announce, visible(announce));
    const count = (number, word) => (number >= 0 ? `${number} ${word}` : "");
    put(this.#counts, [`tier ${tier + 1}`, count(seeders, "seeders"), count(leechers, "leechers")].filter(Boolean).join(" · "));
    const next = nextAt > 0 ? duration(nextAt - Date.now() / 1000) : "";
    put(this.#message, [visible(message), next && `next in ${next}`].filter(Boolean).join(" · "));
    this.element.dataset.state = succeeded || message === "" ? "done" : "failed";
  }
}
