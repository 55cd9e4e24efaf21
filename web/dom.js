// web/dom.js -- elements of the page are made here; what comes from data is text, never markup.

const SVG = "http://www.w3.org/2000/svg";

const CIRCLE = "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2Z";

// One path of 16 × 16 for each icon, stroked with the colour of the text.
const ICONS = {
  queued: `${CIRCLE}M8 5v3.2l2.2 1.4`,
  processing: "M13.8 8A5.8 5.8 0 1 1 8 2.2",
  complete: "M3 8.6 6.4 12 13 4.6",
  error: "M8 2.2 14.4 13.4H1.6ZM8 6.4v3.2M8 11.4v.2",
  close: "M4 4l8 8M12 4l-8 8",
  cancel: `${CIRCLE}M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8`,
  remove: "M2.8 4.4h10.4M6.4 4.4V2.6h3.2v1.8M4.2 4.4l.7 9h6.2l.7-9M6.7 7v4M9.3 7v4",
  pause: "M5.4 3.4v9.2M10.6 3.4v9.2",
  run: "M5 3.2 12.4 8 5 12.8Z",
  rerun: "M13 8a5 5 0 1 1-1.5-3.6M13.2 2.2v3h-3",
  light: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6ZM8 1v1.4M8 13.6V15M1 8h1.4M13.6 8H15" +
    "M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  dark: "M13.4 9.6A5.8 5.8 0 1 1 6.4 2.6a4.7 4.7 0 0 0 7 7Z",
  auto: `${CIRCLE}M8 2.2v11.6M10 3.2v9.6M12 4.8v6.4`,
  user: "M8 2.6a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4ZM2.8 14a5.2 5.2 0 0 1 10.4 0",
  copy: "M5.6 5.6V2.4h8v8h-3.2M2.4 5.6h8v8h-8Z",
  search: "M7 2.6a4.4 4.4 0 1 0 0 8.8 4.4 4.4 0 0 0 0-8.8ZM10.4 10.4l3.4 3.4",
  open: "M6 3.4 10.6 8 6 12.6",
};

// An element: "tag.class.class", an object of attributes if it has any, and children; those that
// are not nodes become text. The attribute `on` contains the listeners; attributes that are null,
// undefined or false are left out; true is the empty text. The first child must not be an object of
// data.
export function el(tag, ...children) {
  const [kind, ...classes] = tag.split(".");
  const node = document.createElement(kind);
  const attributes = children[0]?.constructor === Object ? children.shift() : {};

  if (classes.length > 0) node.className = classes.join(" ");
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

// Show a row for each of the items in this node, in their order: `rows` maps keys to them. A row
// stays as long as its key does, whatever changes in it; if the row with the focus is removed, the
// focus goes to the one that takes its place. `make(item)` makes a row, whose node is `.node`.
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

    if (next?.querySelector("[data-open]")) next.querySelector("[data-open]").focus();
    else focusHeading();
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

// A button; `look` is "", "primary", "danger" or "quiet", `sign` its icon.
export function button(label, action, { look = "", sign, ...attributes } = {}) {
  return el("button", { type: "button", class: `button ${look}`, on: { click: action },
    ...attributes }, sign && icon(sign), label);
}

// A button that shows only its icon; the label is for its tooltip and for screen readers.
export function iconButton(label, sign, action, attributes = {}) {
  return button("", action, { look: "only-icon quiet", sign, "aria-label": label, title: label,
    ...attributes });
}

// A list of pairs of a name and a value.
export function factList(facts) {
  return el("dl.pairs", facts.map(([name, value]) => [el("dt", name),
    el("dd", value instanceof Node ? value : String(value))]));
}

// A search box; `search(text)` is called while the user types.
export function searchBox(label, text, search, placeholder = label) {
  const input = el("input", { type: "search", placeholder, "data-search": true, "aria-label": label,
    value: text, on: { input: () => search(input.value), keydown: leaveOnEscape } });

  return el("div.search", { role: "search" }, icon("search"), input, el("kbd", "/"));
}

// The focus goes to the heading, where single keys work.
export function focusHeading() {
  document.querySelector("#main h1")?.focus();
}

// Escape leaves a field, which keeps its text: a browser would clear it after it was left, without
// an event.
export function leaveOnEscape(event) {
  if (event.key !== "Escape") return;
  event.preventDefault();
  focusHeading();
}

// Escape closes an open menu (details).
export function closeOnEscape({ key, currentTarget: menu }) {
  if (key !== "Escape") return;
  menu.open = false;
  menu.querySelector("summary").focus();
}

// Call `draw` at the next frame, once however often it is requested; `cancel()` drops that.
export function onFrame(draw) {
  let frame = 0;
  const ask = () => { frame ||= requestAnimationFrame(() => { frame = 0; draw(); }); };

  ask.cancel = () => { cancelAnimationFrame(frame); frame = 0; };
  return ask;
}

// Call `action` every `ms` while the page is visible. Returns what ends it.
export function every(ms, action) {
  const timer = setInterval(() => { if (!document.hidden) action(); }, ms);

  return () => clearInterval(timer);
}
