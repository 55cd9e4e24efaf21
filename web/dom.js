// web/dom.js -- elements of the page are made here; what comes from data is text, never markup.

const SVG = "http://www.w3.org/2000/svg";

// One path of 16 × 16 for each icon, stroked with the colour of the text.
const ICONS = {
  queued: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM8 5v3.2l2.2 1.4",
  processing: "M13.8 8A5.8 5.8 0 1 1 8 2.2",
  complete: "M3 8.6 6.4 12 13 4.6",
  error: "M8 2.2 14.4 13.4H1.6ZM8 6.4v3.2M8 11.4v.2",
  deleted: "M4 4l8 8M12 4l-8 8",
  close: "M4 4l8 8M12 4l-8 8",
  cancel: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8",
  remove: "M2.8 4.4h10.4M6.4 4.4V2.6h3.2v1.8M4.2 4.4l.7 9h6.2l.7-9M6.7 7v4M9.3 7v4",
  pause: "M5.4 3.4v9.2M10.6 3.4v9.2",
  run: "M5 3.2 12.4 8 5 12.8Z",
  rerun: "M13 8a5 5 0 1 1-1.5-3.6M13.2 2.2v3h-3",
  light: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6ZM8 1v1.4M8 13.6V15M1 8h1.4M13.6 8H15" +
    "M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  dark: "M13.4 9.6A5.8 5.8 0 1 1 6.4 2.6a4.7 4.7 0 0 0 7 7Z",
  auto: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM8 2.2v11.6M10 3.2v9.6M12 4.8v6.4",
  user: "M8 2.6a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4ZM2.8 14a5.2 5.2 0 0 1 10.4 0",
  copy: "M5.6 5.6V2.4h8v8h-3.2M2.4 5.6h8v8h-8Z",
  search: "M7 2.6a4.4 4.4 0 1 0 0 8.8 4.4 4.4 0 0 0 0-8.8ZM10.4 10.4l3.4 3.4",
  open: "M6 3.4 10.6 8 6 12.6",
  back: "M10 3.4 5.4 8l4.6 4.6",
};

// An element: attributes as they are, `on` its listeners, children that are text become text.
// Attributes that are null, undefined or false are left out; true is the empty text.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  append(node, children);
  return node;
}

// Put these children in place of all others.
export function replace(node, ...children) {
  node.replaceChildren();
  append(node, children);
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

// Have a row for each of the items in this node, in their order: `rows` maps keys to them. A row
// stays as long as its key does, whatever changes in it; if one that has the focus goes, the focus
// goes to the one that takes its place. `make(item)` gives a row, whose node is `.node`.
export function placeRows(node, rows, items, { keyOf, make, update, gone = () => {} }) {
  const wanted = new Set(items.map(keyOf));
  const focused = [...node.children].findIndex((child) => child.contains(document.activeElement));

  for (const [key, row] of rows) {
    if (wanted.has(key)) continue;
    row.node.remove();
    rows.delete(key);
    gone(key);
  }
  items.forEach((item, i) => {
    const key = keyOf(item), row = rows.get(key) ?? make(item);

    if (rows.has(key)) update(row, item);
    else rows.set(key, row);
    if (node.children[i] !== row.node) node.insertBefore(row.node, node.children[i] ?? null);
  });
  if (focused >= 0 && !node.contains(document.activeElement)) {
    const next = node.children[Math.min(focused, node.children.length - 1)];

    (next?.querySelector("[data-open]") ?? document.querySelector("#main h1")).focus();
  }
}

const styles = new Map(); // the address of a stylesheet → the promise of it

// A stylesheet that not every screen needs.
export function loadStyle(href) {
  if (!styles.has(href)) {
    styles.set(href, new Promise((done) => {
      document.head.append(el("link", { rel: "stylesheet", href,
        on: { load: done, error: done } }));
    }));
  }
  return styles.get(href);
}

// The text of a node, touched only if it changes.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");

  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name] ?? "");
  svg.append(path);
  return svg;
}

// A button; `look` is "", "primary", "danger" or "quiet".
export function button(label, action, { look = "", sign, ...attributes } = {}) {
  return el("button", { type: "button", class: `button ${look}`, on: { click: action },
    ...attributes }, sign ? icon(sign) : null, label);
}

// A button that shows only its icon; the label is for its tooltip and for screen readers.
export function iconButton(label, sign, action, attributes = {}) {
  return el("button", { type: "button", class: "button only-icon quiet", "aria-label": label,
    title: label, on: { click: action }, ...attributes }, icon(sign));
}
