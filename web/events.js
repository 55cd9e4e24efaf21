// web/events.js -- the one event stream of the page: the user's reports as they change.

import { REACHED, send, session } from "./api.js";

const BACKOFF_MIN = 500, BACKOFF_MAX = 15000, HIDDEN = 10000;
const SILENCE = 45000; // the server sends a comment every 15 s

const followers = new Set();
const watchers = new Set();  // of the connection
let running = null;          // the AbortController of the stream
let lastId = null;
let hiddenTimer = 0;

// callback(event) for each event, in order; its return value ends it.
export function follow(callback) {
  followers.add(callback);
  return () => followers.delete(callback);
}

// callback(true) when the stream has begun or resumed; callback(false, status) when it was cut off,
// or refused with this status.
export function watchConnection(callback) {
  watchers.add(callback);
  return () => watchers.delete(callback);
}

// Notify the page of its own changes, without waiting for the stream.
export function tell(event) {
  for (const callback of followers) callback(event);
}

// Follow the server's events until the page ends. Hidden tabs leave their stream to others,
// since a browser opens six connections to a server at most.
export function start() {
  if (document.hidden) for (const callback of watchers) callback(false, 0);
  else if (!running) connect();
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(hiddenTimer);
  if (document.hidden) {
    hiddenTimer = setTimeout(() => { running?.abort(); running = null; }, HIDDEN);
  } else if (session.user !== null) {
    start();
  }
});

async function connect() {
  const control = new AbortController();
  let backoff = BACKOFF_MIN;

  running = control;
  while (running === control) {
    const status = await stream(control.signal, () => { backoff = BACKOFF_MIN; });

    if (running !== control) return;
    if (status !== 200) for (const callback of watchers) callback(false, status);
    await pause(status === 200 ? 200 : backoff + Math.random() * 200);
    backoff = status === 200 ? BACKOFF_MIN : Math.min(backoff * 2, BACKOFF_MAX);
  }
}

// Wait until the time is over, or the network or the server is back.
function pause(ms) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      window.removeEventListener(REACHED, done);
      resolve();
    };
    const timer = setTimeout(done, ms);

    window.addEventListener("online", done);
    window.addEventListener(REACHED, done);
  });
}

// Read until it ends; 200 if it ended in order, so that it may begin again at once.
async function stream(signal, onBegin) {
  try {
    const response = await send("GET", "/Report/Events", { signal,
      headers: { Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) } });

    if (!response.ok) return response.status;
    onBegin();
    for (const callback of watchers) callback(true);
    await readEvents(response.body.getReader());
    return 200;
  } catch {
    return 0;
  }
}

// text/event-stream: lines of "name: value", an empty line ends an event.
async function readEvents(reader) {
  const decoder = new TextDecoder();
  let text = "", event = {};

  for (;;) {
    const silent = setTimeout(() => reader.cancel(), SILENCE);
    const { done, value } = await reader.read();

    clearTimeout(silent);
    if (done) return;
    const lines = (text + decoder.decode(value, { stream: true })).split("\n");

    text = lines.pop();
    for (const line of lines) {
      const colon = line.indexOf(": ");

      if (line === "") {
        take(event);
        event = {};
      } else if (colon > 0) {
        event[line.slice(0, colon)] = line.slice(colon + 2);
      }
    }
  }
}

function take(event) {
  if (event.id) lastId = event.id;
  if (event.data) tell(JSON.parse(event.data));
}
