// How figures and foreign text are shown. Everything here returns plain text.

const units = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bytes with three figures and a decimal unit. */
export function bytes(count) {
  if (typeof count !== "number" || !isFinite(count) || count < 0) return "–";
  let unit = 0;
  while (count >= 999.5 && unit < units.length - 1) { count /= 1000; unit += 1; }
  const digits = unit === 0 || count >= 99.95 ? 0 : count >= 9.995 ? 1 : 2;
  return `${count.toFixed(digits)} ${units[unit]}`;
}

/** Bytes a second; nothing where nothing moves, so that the eye finds what does. */
export function rate(count) {
  return typeof count === "number" && count > 0 ? `${bytes(count)}/s` : "";
}

/** A duration in its two largest units. */
export function duration(seconds) {
  if (typeof seconds !== "number" || !isFinite(seconds) || seconds < 0) return "";
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  if (s < 86400 * 365) return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  return "over a year";
}

/** Seconds until done: -1 is not available, -2 unknown. */
export function eta(seconds) {
  return seconds === -2 ? "∞" : duration(seconds);
}

/** Uploaded by downloaded: -1 is not available, -2 infinite. */
export function ratio(value) {
  if (typeof value !== "number") return "–";
  if (value === -2) return "∞";
  if (value < 0) return "–";
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** A fraction in percent that says 100 only when it is all. */
export function percent(fraction) {
  if (typeof fraction !== "number" || !isFinite(fraction)) return "–";
  if (fraction >= 1) return "100 %";
  return `${(Math.floor(Math.max(0, fraction) * 1000) / 10).toFixed(1)} %`;
}

const controls = ("NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB "
  + "ESC FS GS RS US").split(" ");
const names = new Map([
  ...controls.map((name, code) => [code, name]), [0x7f, "DEL"],
  [0x061c, "ALM"], [0x200b, "ZWSP"], [0x200e, "LRM"], [0x200f, "RLM"], [0x2028, "LS"], [0x2029, "PS"],
  [0x202a, "LRE"], [0x202b, "RLE"], [0x202c, "PDF"], [0x202d, "LRO"], [0x202e, "RLO"],
  [0x2060, "WJ"], [0x2066, "LRI"], [0x2067, "RLI"], [0x2068, "FSI"], [0x2069, "PDI"], [0xfeff, "BOM"],
]);
// Control characters, those that turn the direction of writing, invisible ones, and halves of characters.
const suspicious = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]|\p{Cs}/gu;

/** Foreign text with everything that could deceive the eye made visible. */
export function visible(text) {
  return String(text).replace(suspicious, (character) => {
    const code = character.codePointAt(0);
    return `⟨${names.get(code) ?? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`}⟩`;
  });
}
