// What the keyboard does: the arrows move, Space chooses, Enter opens, Delete removes, Escape goes back, `/` filters.

import { $ } from "./dom.js";

const moves = {
  ArrowUp: () => -1, ArrowDown: () => 1, PageUp: (page) => -page, PageDown: (page) => page,
  Home: () => -Infinity, End: () => Infinity,
};

/** `back()` closes what is open and says whether anything was. */
export function listen(table, { open, remove, back }) {
  const filter = $("#filter");
  const list = $("#torrents");

  function move(step, isRange) {
    const hashes = table.order.list.map((entry) => entry.hash);
    if (hashes.length === 0) return;
    const from = hashes.indexOf(table.selection.active);
    const index = from < 0 ? (step < 0 && isFinite(step) ? hashes.length - 1 : 0) : from + step;
    const hash = hashes[Math.min(hashes.length - 1, Math.max(0, index))];
    if (isRange) table.selection.extend(hash, hashes); else table.selection.only(hash);
    table.reveal(hash, $("#dock").getBoundingClientRect().height);
  }

  function inTable(event) {
    const { selection } = table;
    if (event.key in moves) {
      move(moves[event.key](table.pageSize), event.shiftKey);
    } else if (event.key === " " && selection.active) {
      selection.toggle(selection.active);
    } else if (event.key === "Enter" && selection.active) {
      open(selection.active);
    } else if (event.key === "Delete") {
      remove();
    } else if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
      selection.all(table.order.list.map((entry) => entry.hash));
    } else {
      return false;
    }
    return true;
  }

  function isDone(event) {
    const { key, target } = event;
    if (document.querySelector("dialog[open]")) return false;
    if (key === "Escape") {
      if (target === filter && filter.value !== "") {
        filter.value = "";
        table.filter("");
        return true;
      }
      if (target === filter) table.focus();
      return back();
    }
    if (target === filter && (key === "ArrowDown" || key === "Enter")) {
      table.focus();
      if (!table.selection.active) move(-Infinity, false);
      return true;
    }
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return false;
    if (key === "/" && !event.ctrlKey && !event.metaKey) {
      filter.focus();
      return true;
    }
    // With the focus nowhere the arrows mean the table.
    if (target === document.body && key.startsWith("Arrow")) table.focus();
    else if (target !== list) return false;
    return inTable(event);
  }

  addEventListener("keydown", (event) => { if (isDone(event)) event.preventDefault(); });
}
