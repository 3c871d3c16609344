// The few things that every part of the page needs of the document. Foreign text only ever becomes text.

export const $ = (selector, within = document) => within.querySelector(selector);

/** Writes text where it differs. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** An element with properties, attributes (names with a dash, and `role`), `data` and children. */
export function make(tag, { data = {}, ...properties } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value); else element[name] = value;
  }
  Object.assign(element.dataset, data);
  element.append(...children);
  return element;
}

/** A `<progress>` with its figure beside it. */
export function makeProgress() {
  const bar = make("progress", { max: 1, "aria-hidden": "true", data: { field: "progress" } });
  return { bar, figure: make("span", { className: "percent" }) };
}

/** Gives `parent` one child an item: those there are used again, so that what has the focus keeps it. */
export function fill(parent, items, create) {
  const lines = (parent.lines ??= []);
  while (lines.length > items.length) lines.pop().element.remove();
  items.forEach((item, index) => {
    if (!lines[index]) {
      lines.push(create(index));
      parent.append(lines[index].element);
    }
    lines[index].show(item, index);
  });
}
