// What the table's columns show and are sorted by, and the groups that can be shown alone; pure.

import { bytes, eta, percent, rate, ratio } from "./format.js";

const number = (field, missing = -Infinity) => (torrent) => torrent[field] ?? missing;

const statusWords = {
  "stopped": "stopped", "check-wait": "check queued", "checking": "checking", "download-wait": "queued",
  "downloading": "downloading", "seed-wait": "seed queued", "seeding": "seeding",
};
const statusOrder = Object.keys(statusWords);

export function statusText(torrent) {
  const word = statusWords[torrent.status] ?? "–";
  if (torrent.status === "checking") return `${word} ${percent(torrent.checked ?? 0)}`;
  if (torrent.status === "downloading" && torrent.metadata < 1) return `metadata ${percent(torrent.metadata)}`;
  if (torrent.stalled && torrent.status === "downloading") return "stalled";
  return word;
}

/** What a row looks like by its colour. */
export function mood(torrent) {
  if (torrent.error >= 2) return "error";
  if (torrent.error === 1) return "warning";
  return torrent.status ?? "unknown";
}

/** `sort` gives what rows are compared by, `first` the direction a first click sorts in. */
export const columns = [
  { field: "name", title: "Name", sort: (t) => t.name ?? "", first: 1 },
  { field: "status", title: "Status", sort: (t) => statusOrder.indexOf(t.status), first: -1, text: statusText },
  { field: "progress", title: "Progress", sort: number("progress"), first: -1 },
  { field: "size", title: "Size", sort: number("size"), first: -1, text: (t) => bytes(t.size), isFigure: true },
  { field: "down", title: "Down", sort: number("down"), first: -1, text: (t) => rate(t.down), isFigure: true },
  { field: "up", title: "Up", sort: number("up"), first: -1, text: (t) => rate(t.up), isFigure: true },
  {
    field: "ratio", title: "Ratio", first: -1, text: (t) => ratio(t.ratio), isFigure: true,
    sort: (t) => (t.ratio === -2 ? Infinity : t.ratio ?? -1),
  },
  {
    field: "eta", title: "ETA", first: 1, text: (t) => (t.progress < 1 ? eta(t.eta) : ""), isFigure: true,
    sort: (t) => (t.progress < 1 && t.eta >= 0 ? t.eta : Infinity),
  },
  { field: "peers", title: "Peers", sort: number("peers"), first: -1, text: (t) => (t.peers ? String(t.peers) : ""), isFigure: true },
];

export const groups = [
  { name: "all", has: () => true },
  { name: "active", has: (t) => t.down > 0 || t.up > 0 },
  { name: "downloading", has: (t) => t.status === "downloading" || t.status === "download-wait" },
  { name: "seeding", has: (t) => t.status === "seeding" || t.status === "seed-wait" },
  { name: "stopped", has: (t) => t.status === "stopped" },
  { name: "unfinished", has: (t) => !(t.progress >= 1) },
  { name: "faulty", has: (t) => t.error > 0 },
];
