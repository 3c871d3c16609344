// The status page: joins the feed to what is seen.

import { bytes, duration, rate, visible } from "./format.js";
import { post } from "./feed.js";
import { makeFeed } from "./shared.js";
import { Table, columns, groups } from "./table.js";

const root = document.documentElement;
const $ = (selector) => document.querySelector(selector);
const feed = makeFeed();
const table = new Table($("#torrents"));

/** Kept in this browser only: nothing but how the table is looked at. */
const settings = {
  get(name) { try { return localStorage.getItem(`farseed.${name}`); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(`farseed.${name}`, value); } catch { /* A private window. */ } },
};

let selected = settings.get("box");
const box = () => feed.boxes.get(selected);

// Logging in

async function loginByLink() {
  const match = /^#login=([\w-]+)$/.exec(location.hash);
  if (!match) return false;
  // Out of the address bar and the history before anything else happens.
  history.replaceState(null, "", location.pathname);
  try {
    const response = await post("/api/login", { token: match[1] });
    if (!response.ok) $("#login-problem").textContent = await response.text();
    return response.ok;
  } catch {
    $("#login-problem").textContent = "The server did not answer. Open the link again.";
    return false;
  }
}

$("#login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  const problem = $("#login-problem");
  problem.textContent = "";
  try {
    const response = await post("/api/login", { user: form.user.value, password: form.password.value });
    if (!response.ok) {
      problem.textContent = await response.text();
      return;
    }
    form.reset();
    feed.restart();
  } catch {
    problem.textContent = "The server did not answer. Try again.";
  }
});

addEventListener("hashchange", async () => {
  if (await loginByLink()) feed.restart();
});

$("#logout").addEventListener("click", () => feed.logout());

// The state of all

function showState() {
  const current = box();
  let state;
  if (feed.state === "login") {
    state = "login";
  } else if (!hasData(current)) {
    state = "connecting";
  } else if (feed.state === "up" && current.seq !== null && (current.link === null || current.link.state === "live")) {
    state = "live";
  } else {
    state = "stale";
  }
  root.dataset.state = state;
  // What a login saw does not stay in the document after it.
  if (state === "login") table.replace(new Map());
  $("#login").hidden = state !== "login";
  $("#status").hidden = state === "login";
  $("#logout").hidden = state === "login";
  const words = {
    login: "", connecting: "connecting", live: "live",
    stale: feed.state === "up" ? "waiting for the seedbox" : "reconnecting to Farseed",
  };
  put($("#state"), words[state]);
  document.title = state === "live" && current ? `${title(current)}Farseed` : "Farseed";
  showEmpty();
}

/** A state may come before the seedbox was ever reached; then it is empty and says nothing. */
function hasData(current) {
  return Boolean(current) && (current.torrents.size > 0 || current.dataAt !== null || current.seq > 0);
}

function title(current) {
  let down = 0;
  for (const torrent of current.torrents.values()) down += torrent.down ?? 0;
  return down > 0 ? `↓ ${rate(down)} · ` : "";
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function showEmpty() {
  const current = box();
  const empty = $("#empty");
  if (feed.state === "up" && feed.boxes.size === 0) {
    put(empty, "No seedbox is configured. Add one to farseed.toml.");
  } else if (!hasData(current)) {
    put(empty, "No data yet. The line above shows how far the way to the seedbox is open.");
  } else if (current.torrents.size === 0) {
    put(empty, "There are no torrents on this seedbox.");
  } else if (shownCount === 0) {
    put(empty, "No torrent matches the filter.");
  } else {
    put(empty, "");
  }
  empty.hidden = empty.textContent === "";
}

// The link line

function showLink() {
  const link = box()?.link;
  for (const item of $("#link").children) {
    const hop = link?.hops?.find((hop) => hop.hop === item.dataset.hop);
    const state = feed.state === "up" ? hop?.state ?? "unknown" : "unknown";
    if (item.dataset.state !== state) item.dataset.state = state;
    const detail = feed.state === "up" ? visible(hop?.detail ?? "") : "";
    put(item.querySelector(".detail"), detail);
    item.title = detail;
  }
  const problem = $("#problem");
  const shown = feed.state === "down" && feed.boxes.size > 0
    ? { code: "controller-lost", message: "The connection to Farseed at home is lost. What is shown is what was last known; it is tried again." }
    : feed.state === "up" ? link?.problem : null;
  problem.hidden = !shown;
  put(problem, shown ? visible(shown.message) : "");
  if (shown) problem.dataset.code = shown.code; else delete problem.dataset.code;
  put($("#rtt"), typeof link?.rtt_ms === "number" && feed.state === "up" && isUp(link, "agent") ? `${link.rtt_ms} ms` : "–");
}

function isUp(link, name) {
  return link.hops?.some((hop) => hop.hop === name && hop.state === "up") ?? false;
}

function showAge() {
  const at = box()?.dataAt;
  const age = $("#age");
  if (!at) {
    put(age, "–");
    put($("#age-text"), "");
    delete age.dataset.seconds;
    return;
  }
  const seconds = Math.max(0, Math.round((Date.now() + feed.clockOffset - at) / 1000));
  age.dataset.seconds = String(seconds);
  put(age, String(seconds));
  put($("#age-text"), seconds < 120 ? " s" : ` s = ${duration(seconds)}`);
}

// Boxes, tools, totals

function showBoxes() {
  const names = [...feed.boxes.keys()];
  if (!names.includes(selected)) selected = names[0] ?? null;
  const nav = $("#boxes");
  nav.hidden = names.length < 2;
  nav.replaceChildren(...names.map((name) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.box = name;
    button.textContent = name;
    button.setAttribute("aria-pressed", String(name === selected));
    button.addEventListener("click", () => select(name));
    return button;
  }));
  showBox();
}

function select(name) {
  selected = name;
  settings.set("box", name);
  for (const button of $("#boxes").children) button.setAttribute("aria-pressed", String(button.dataset.box === name));
  showBox();
}

function showBox() {
  table.replace(box()?.torrents ?? new Map());
  showLink();
  showAge();
  showState();
}

let shownCount = 0;
table.onTotals = ({ count, all, size, down, up }) => {
  shownCount = count;
  put($("[data-total=count]"), count === all ? String(count) : `${count} of ${all}`);
  put($("[data-total=size]"), bytes(size));
  put($("[data-total=down]"), rate(down) || "0");
  put($("[data-total=up]"), rate(up) || "0");
  showEmpty();
};

$("#filter").addEventListener("input", (event) => table.filter(event.target.value));

const sorts = $("#sort");
for (const column of columns) {
  for (const direction of [column.first, -column.first]) {
    const option = document.createElement("option");
    option.value = `${column.field} ${direction}`;
    option.textContent = `${column.title} ${direction > 0 ? "↑" : "↓"}`;
    sorts.append(option);
  }
}
sorts.addEventListener("change", () => {
  const [field, direction] = sorts.value.split(" ");
  table.sort(field, Number(direction));
});
table.onSort = (field, direction) => {
  sorts.value = `${field} ${direction}`;
  settings.set("sort", sorts.value);
};
const [sortField, sortDirection] = (settings.get("sort") ?? "name 1").split(" ");
table.sort(sortField, Number(sortDirection) === -1 ? -1 : 1);

for (const group of groups) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = group.name;
  button.dataset.group = group.name;
  button.setAttribute("aria-pressed", String(group === groups[0]));
  button.addEventListener("click", () => {
    for (const other of $("#groups").children) other.setAttribute("aria-pressed", String(other === button));
    table.group(group.name);
  });
  $("#groups").append(button);
}

addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.ctrlKey && !event.metaKey && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
    event.preventDefault();
    $("#filter").focus();
  } else if (event.key === "Escape" && event.target === $("#filter")) {
    event.target.value = "";
    table.filter("");
  }
});

// The feed

feed.addEventListener("state", () => { showLink(); showState(); });
feed.addEventListener("boxes", showBoxes);
feed.addEventListener("link", ({ detail }) => {
  if (detail.box !== box()) return;
  showLink();
  showAge();
  showState();
});
feed.addEventListener("torrents", ({ detail }) => {
  if (detail.box !== box()) return;
  if (detail.isFull) table.replace(detail.box.torrents); else table.update(detail.changed, detail.removed);
  showAge();
  showState();
});
setInterval(showAge, 1000);
addEventListener("online", () => feed.wake());
document.addEventListener("visibilitychange", () => { if (!document.hidden) feed.wake(); });

showState();
const isNewLogin = await loginByLink();
feed.start();
// Another tab may have started the feed before, as nobody or as somebody else.
if (isNewLogin) feed.restart();
