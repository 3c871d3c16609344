// The status page: joins the feed to what is seen and to what is asked for.

import { Actions } from "./actions.js";
import { AddDialog } from "./add.js";
import { Details } from "./details.js";
import { $, make, put } from "./dom.js";
import { EditDialog } from "./edit.js";
import { rate } from "./format.js";
import { Jobs } from "./jobs.js";
import { listen } from "./keys.js";
import { showAge, showLink } from "./link.js";
import { listenForLogins, loginByLink } from "./login.js";
import { Outbox } from "./outbox.js";
import { RemoveDialog } from "./remove.js";
import { settings } from "./settings.js";
import { makeFeed } from "./shared.js";
import { Table } from "./table.js";
import { connectTools, showDisk, showTotals } from "./tools.js";

const root = document.documentElement;
const feed = await makeFeed();

let selected = settings.get("box");
const box = () => feed.boxes.get(selected);
const mayChange = () => root.dataset.may === "change";

const table = new Table($("#torrents"));
const outbox = new Outbox(feed);
const jobs = new Jobs(feed, outbox);
const edit = new EditDialog(outbox);
const removal = new RemoveDialog(outbox);
const details = new Details({
  feed, box,
  fileChange(hash, index, wish) {
    const change = wish === "skip" ? { unwanted: [index] } : { wanted: [index], [wish]: [index] };
    outbox.submit(box().name, "torrent.set", { hashes: [hash], ...change }, `Change a file's priority to ${wish}`);
  },
});
const open = (hash) => { if (feed.role !== "guest") details.open(hash); };
const actions = new Actions({
  box, outbox, open, selection: table.selection,
  edit: (targets) => edit.ask(box(), targets),
  remove: (targets) => removal.ask(box(), targets),
});
new AddDialog({ box, outbox, mayAdd: () => mayChange() && Boolean(box()) });

listen(table, {
  open,
  remove() { if (mayChange()) removal.ask(box(), actions.targets); },
  back() {
    if (jobs.isOpen) jobs.toggle();
    else if (!details.close() && table.selection.chosen.size > 0) table.selection.only(null);
    else return false;
    return true;
  },
});

table.onOpen = open;
table.onSelection = () => {
  actions.show(mayChange());
  // Open details follow the keys.
  if (details.hash !== null && table.selection.active) details.open(table.selection.active);
};
table.onShown = () => {
  showTotals(table.order);
  showEmpty();
  actions.show(mayChange());
};
connectTools(table);

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
  root.dataset.may = feed.role === "owner" || feed.role === "operator" ? "change" : "look";
  $("#add").hidden = !mayChange();
  // What a login saw does not stay in the document after it.
  if (state === "login") {
    details.close();
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    table.replace(new Map());
  }
  $("#login").hidden = state !== "login";
  $("#status").hidden = state === "login";
  $("#logout").hidden = state === "login";
  const words = {
    login: "", connecting: "connecting", live: "live",
    stale: feed.state === "up" ? "waiting for the seedbox" : "reconnecting to Farseed",
  };
  put($("#state"), words[state]);
  document.title = state === "live" && current ? `${title(current)}Farseed` : "Farseed";
  actions.show(mayChange());
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

function showEmpty() {
  const current = box();
  const empty = $("#empty");
  if (feed.state === "up" && feed.boxes.size === 0) {
    put(empty, "No seedbox is configured. Add one to farseed.toml.");
  } else if (!hasData(current)) {
    put(empty, "No data yet. The line above shows how far the way to the seedbox is open.");
  } else if (current.torrents.size === 0) {
    put(empty, `There are no torrents on this seedbox.${mayChange() ? " Drop a .torrent file or a magnet link here to add one." : ""}`);
  } else if (table.order.list.length === 0) {
    put(empty, "No torrent matches the filter.");
  } else {
    put(empty, "");
  }
  empty.hidden = empty.textContent === "";
}

// Boxes

function showBoxes() {
  const names = [...feed.boxes.keys()];
  if (!names.includes(selected)) selected = names[0] ?? null;
  const nav = $("#boxes");
  nav.hidden = names.length < 2;
  nav.replaceChildren(...names.map((name) => {
    const button = make("button", { type: "button", textContent: name, data: { box: name }, "aria-pressed": String(name === selected) });
    button.addEventListener("click", () => select(name));
    return button;
  }));
  showBox();
}

function select(name) {
  selected = name;
  settings.set("box", name);
  for (const button of $("#boxes").children) button.setAttribute("aria-pressed", String(button.dataset.box === name));
  details.close();
  showBox();
}

function showBox() {
  table.replace(box()?.torrents ?? new Map());
  if (details.hash !== null) details.showFacts();
  showLink(feed, box());
  showDisk(box()?.host);
  showAge(feed, box());
  showState();
}

// The feed

feed.addEventListener("state", () => {
  showLink(feed, box());
  showState();
});
feed.addEventListener("boxes", showBoxes);
feed.addEventListener("link", ({ detail }) => {
  if (detail.box !== box()) return;
  const wasLive = root.dataset.state === "live";
  showLink(feed, box());
  showAge(feed, box());
  showState();
  if (!wasLive && root.dataset.state === "live") details.changed();
});
feed.addEventListener("host", ({ detail }) => { if (detail.box === box()) showDisk(detail.box.host); });
feed.addEventListener("torrents", ({ detail: { box: changedBox, isFull, changed, removed } }) => {
  if (changedBox !== box()) return;
  if (isFull) table.replace(changedBox.torrents); else table.update(changed, removed);
  if (details.hash !== null && (isFull || details.hash in changed || removed.includes(details.hash))) details.changed();
  showAge(feed, box());
  showState();
});
feed.addEventListener("jobs", ({ detail }) => {
  if (!detail.isFull && detail.jobs.some((job) => job.ended && job.hashes.includes(details.hash))) details.changed();
});
setInterval(() => showAge(feed, box()), 1000);
addEventListener("online", () => feed.wake());
document.addEventListener("visibilitychange", () => { if (!document.hidden) feed.wake(); });

listenForLogins(() => feed.restart());
$("#logout").addEventListener("click", () => feed.logout());
showState();
const isNewLogin = await loginByLink();
feed.start();
// Another tab may have started the feed before, as nobody or as somebody else.
if (isNewLogin) feed.restart();
