// web/exact.js -- JSON whose numbers stay text: none is converted to a double.

// The prefix of a number once it has been read; no result can contain it.
const TAG = crypto.getRandomValues(new Uint32Array(1))[0].toString(16).padStart(8, "0");
const MARK = `\u0001${TAG}`;
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;
const MARKED = new RegExp(`"\\\\u0001${TAG}([^"]*)"`, "g");

// Like JSON.parse(), but a number becomes a text that isNumber() recognizes and shown() prints.
export function parseExact(text) {
  return JSON.parse(text.replace(TOKEN, (token) => (
    token[0] === '"' ? token : `"\\u0001${TAG}${token}"`)));
}

export function isNumber(value) {
  return typeof value === "string" && value.startsWith(MARK);
}

// The text of a value: a number digit by digit, NULL as nothing, objects and arrays as JSON.
export function shown(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return isNumber(value) ? value.slice(MARK.length) : value;
  return JSON.stringify(value).replace(MARKED, "$1");
}
