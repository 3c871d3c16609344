// A job in words; pure.

import { visible } from "./format.js";

const verbs = {
  "torrent.add": "Add", "torrent.start": "Start", "torrent.start_now": "Start now", "torrent.stop": "Stop",
  "torrent.verify": "Verify", "torrent.reannounce": "Reannounce", "torrent.remove": "Remove", "torrent.move": "Move",
  "torrent.rename": "Rename", "torrent.set": "Change", "torrent.queue": "Queue", "session.set": "Change the settings",
  "session.blocklist_update": "Update the blocklist",
};
const longestName = 80;

/** The labels in what somebody typed, each once. */
export const labelsOf = (text) => [...new Set(text.split(",").map((label) => label.trim()).filter(Boolean))];

/** Names, shortened, of one torrent or the number of them. */
export function named(torrents, count = torrents.length) {
  if (count === 0) return "";
  if (count > 1) return `${count} torrents`;
  const name = [...visible(torrents[0]?.name ?? "1 torrent")];
  return name.length > longestName ? `${name.slice(0, longestName - 1).join("")}…` : name.join("");
}

/** What it does, to what is known of `torrents`. */
export function jobTitle({ verb, hashes, targets, undoes }, torrents) {
  const known = hashes.map((hash) => torrents?.get(hash) ?? { name: `${hash.slice(0, 8)}…` });
  const title = [verbs[verb] ?? visible(verb), named(known, targets)].filter(Boolean).join(" ");
  return undoes ? `${title} (undo of ${undoes})` : title;
}

/** How it stands. */
export function jobState(job, isLive) {
  const reason = job.problem ? visible(job.problem.message) : "";
  switch (job.state) {
    case "accepted":
    case "waiting": return reason && isLive ? `waiting: ${reason}` : isLive ? "waiting for its turn" : "waiting for the link";
    case "sent": return isLive ? "sent" : "sent; waiting for the link";
    case "confirming": return isLive ? "asking what became of it" : "sent; waiting for the link to know what became of it";
    case "done": return job.undone_by ? `done, and undone by ${job.undone_by}` : "done";
    case "failed": return `failed: ${reason}`;
    case "expired": return "not begun within its time; nothing was done";
    case "cancelled": return `cancelled by ${visible(job.cancelled_by ?? "somebody")}; nothing was done`;
    default: return visible(job.state);
  }
}
