// Filter, groups, sorting by a list, and the line of totals.

import { columns, groups } from "./columns.js";
import { $, make, put } from "./dom.js";
import { bytes, rate, visible } from "./format.js";
import { settings } from "./settings.js";

export function connectTools(table) {
  $("#filter").addEventListener("input", ({ target }) => table.filter(target.value));
  connectSort(table);
  const buttons = groups.map((group, index) => {
    const count = make("span", { className: "count" });
    const button = make("button", { type: "button", data: { group: group.name }, "aria-pressed": String(index === 0) }, group.name, " ", count);
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      table.group(group.name);
    });
    return button;
  });
  $("#groups").append(...buttons);
}

function connectSort(table) {
  const sorts = $("#sort");
  for (const column of columns) {
    for (const direction of [column.first, -column.first]) {
      sorts.append(make("option", { value: `${column.field} ${direction}`, textContent: `${column.title} ${direction > 0 ? "↑" : "↓"}` }));
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
  const [field, direction] = (settings.get("sort") ?? "name 1").split(" ");
  table.sort(field, Number(direction) === -1 ? -1 : 1);
}

export function showTotals({ list, counts, totals }) {
  put($("[data-total=count]"), list.length === counts.all ? String(counts.all) : `${list.length} of ${counts.all}`);
  put($("[data-total=size]"), bytes(totals.size));
  put($("[data-total=down]"), rate(totals.down) || "0 B/s");
  put($("[data-total=up]"), rate(totals.up) || "0 B/s");
  for (const button of $("#groups").children) put($(".count", button), String(counts[button.dataset.group]));
}

/** What the agent's disk guard does, in words after the free space. */
const guards = new Map([["low", () => ", below the reserve"], ["paused", (count) => `, ${downloads(count)} paused for want of space`]]);

/** An agent that does not say how many it holds back says at least that. */
const downloads = (count) => (Number.isInteger(count) ? `${count} download${count === 1 ? "" : "s"}` : "downloads");

/** The least free space of the seedbox's disks and what its guard does about it; all of them on pointing at it. */
export function showDisk(host) {
  const disks = (host?.disks ?? []).filter((disk) => typeof disk.free === "number");
  const line = $("#disk");
  line.hidden = disks.length === 0;
  if (disks.length === 0) return;
  const least = disks.reduce((a, b) => (b.free < a.free ? b : a));
  const guard = guards.get(host.disk_guard)?.(host.disk_paused) ?? "";
  put($("dd", line), bytes(least.free) + guard);
  line.classList.toggle("low", Boolean(least.low || guard));
  line.title = disks.map(({ directory, free, total }) => `${visible(directory)}: ${bytes(free)} of ${bytes(total)} free`).join("\n");
}
