// web/format.js -- numbers, sizes, durations and moments as the page shows them.

const NUMBER = new Intl.NumberFormat("en-US");
const MOMENT = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });
const UNITS = ["B", "kB", "MB", "GB", "TB"];
const MINUTE = 60000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

// 603,650
export function number(value) {
  return NUMBER.format(value);
}

// "1 row", "603,650 rows"
export function counted(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

// 250 MB; powers of 1000
export function bytes(value) {
  let unit = 0;

  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

// 0:07, 12:30, 1:02:03, of milliseconds
export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;

  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}`
    : `${minutes}:${two(seconds % 60)}`;
}

// How long something took, by timestamps of whole seconds: < 1 s, 4 s, 12:30
export function took(ms) {
  if (ms < 1000) return "< 1 s";
  return ms < MINUTE ? `${Math.round(ms / 1000)} s` : clock(ms);
}

// How long something still takes: 23 h 10 m, 12 m, 40 s
export function left(ms) {
  if (ms <= 0) return "now";
  if (ms < MINUTE) return `${Math.ceil(ms / 1000)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} m`;
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)} h ${Math.floor(ms / MINUTE) % 60} m`;
  return `${Math.floor(ms / DAY)} days`;
}

// just now, 5 min ago, 3 h ago, 2 days ago
export function ago(ms) {
  if (ms < MINUTE) return "just now";
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ago`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h ago`;
  return counted(Math.floor(ms / DAY), "day") + " ago";
}

// A moment of the API in the reader's time zone: 2026-11-26 14:04:05
export function moment(iso) {
  const at = new Date(iso);

  return Number.isNaN(at.getTime()) ? "" : MOMENT.format(at);
}

// "was no. 4, now 2"; empty for what does not wait.
export function placeInQueue({ state, position, firstPosition }) {
  if (state !== "queued" || !position) return "";
  return firstPosition > position ? `was no. ${firstPosition}, now ${position}`
    : `no. ${position}`;
}

const STATES = { queued: "Queued", processing: "Running", complete: "Complete", error: "Failed",
  deleted: "Deleted" };

// The word for a state of the API.
export function stateWord(state) {
  return STATES[state] ?? state;
}
