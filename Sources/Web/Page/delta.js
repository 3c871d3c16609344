// What an event of the torrents' topic does to a seedbox as it is known here; pure.

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

/** Takes an event in: `full` or `delta` when it was applied, `old` when it is known already, `gap` when one is missing. */
export function receive(box, event) {
  if (event.full) {
    if (box.epoch === event.epoch && box.seq !== null && event.seq < box.seq) return "old";
    box.torrents = new Map(Object.entries(event.full));
    box.epoch = event.epoch;
    box.seq = event.seq;
    return "full";
  }
  // A state may already hold what only now comes as a delta.
  if (event.epoch === box.epoch && event.seq <= box.seq) return "old";
  if (event.epoch !== box.epoch || event.seq !== box.seq + 1) return "gap";
  box.seq = event.seq;
  apply(box.torrents, event.set ?? {}, event.del ?? []);
  return "delta";
}
