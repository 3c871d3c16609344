// The link line: how far the way to the seedbox is open, what is wrong, the round trip and the age of the data.

import { $, put } from "./dom.js";
import { duration, visible } from "./format.js";

export function showLink(feed, box) {
  const link = box?.link;
  const isUp = feed.state === "up";
  for (const item of $("#link").children) {
    const hop = isUp ? link?.hops?.find((hop) => hop.hop === item.dataset.hop) : null;
    const state = hop?.state ?? "unknown";
    if (item.dataset.state !== state) item.dataset.state = state;
    const detail = visible(hop?.detail ?? "");
    put($(".detail", item), detail);
    item.title = detail;
  }
  const problem = $("#problem");
  const shown = feed.state === "down" && feed.boxes.size > 0
    ? { code: "controller-lost", message: "The connection to Farseed at home is lost. What is shown is what was last known; it is tried again." }
    : isUp ? link?.problem : null;
  problem.hidden = !shown;
  put(problem, shown ? visible(shown.message) : "");
  if (shown) problem.dataset.code = shown.code; else delete problem.dataset.code;
  const warnings = (isUp && link?.warnings) || [];
  const warning = $("#warning");
  warning.hidden = warnings.length === 0;
  put(warning, visible(warnings.map((one) => one.message).join(" ")));
  warning.dataset.codes = warnings.map((one) => one.code).join(" ");
  const hasAgent = link?.hops?.some((hop) => hop.hop === "agent" && hop.state === "up");
  put($("#rtt"), typeof link?.rtt_ms === "number" && isUp && hasAgent ? `${link.rtt_ms} ms` : "–");
}

export function showAge(feed, box) {
  const at = box?.dataAt;
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
