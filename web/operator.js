// web/operator.js -- the screen Operator: what the server does now, and the reports of all users.

import { call } from "./api.js";
import { heading, setQuery, showMessage } from "./app.js";
import { failure, notify, notifyError } from "./dialogs.js";
import { el, every, loadStyle, replace } from "./dom.js";
import { Overview } from "./operator_overview.js";
import { FILTER, List } from "./operator_list.js";

const STYLE = "/console/operator.css";
const PACE = 2000; // milliseconds from an answer to the next question, …
const SHARE = 10;  // … and at least so many times as long as the answer took

const FORBIDDEN = 403;

export async function show(main, route) {
  const screen = new Operator(main, route.query);

  try {
    await Promise.all([loadStyle(STYLE), screen.ask()]);
  } catch (error) {
    if (error.status !== FORBIDDEN) throw error;
    forbid(main);
    return null;
  }
  return screen.start();
}

// The same for whoever has the address, and for an operator who is one no more.
function forbid(main) {
  showMessage(main, "For operators only", ["This page shows the reports of all users. Your user " +
    "is not an operator; whoever runs the server can change that with ",
    el("code", "reportd user operator NAME on"), "."]);
}

class Operator {
  constructor(main, query) {
    this.main = main;
    this.filter = Object.fromEntries(Object.keys(FILTER).map((name) => [name,
      query.get(name) ?? ""]));
    this.running = null; // the AbortController of the question that is on its way
    this.timer = 0;
    this.away = el("div", { hidden: true });
    this.ended = false;
    this.overview = new Overview({ pause: (source, on) => this.pause(source, on),
      choose: (filter) => { this.choose(filter); this.list.show(); } });
    this.list = new List(this.filter, { change: (filter) => this.choose(filter),
      again: () => this.poll() });
    this.node = el("div.operator", el("div.head", heading("Operator"), this.overview.control),
      this.away, this.overview.node, this.list.node);
  }

  // One question: the overview, and the page of reports. What was asked before is dropped, so that
  // nothing comes back that has been deleted meanwhile.
  async ask() {
    this.running?.abort();
    const control = this.running = new AbortController();
    const options = { signal: control.signal };
    const [overview, page] = await Promise.all([call("GET", "/Admin/Overview", options),
      this.list.ask(options)]);

    if (this.running !== control) return;
    this.running = null;
    this.overview.draw(overview.data);
    this.list.draw(page, overview.data);
  }

  start() {
    const onVisibility = () => { if (!document.hidden) this.poll(); };
    const stopClock = every(1000, () => { this.overview.tick(); this.list.tick(); });

    replace(this.main, this.node);
    document.addEventListener("visibilitychange", onVisibility);
    this.next(PACE);
    return () => {
      this.ended = true;
      document.removeEventListener("visibilitychange", onVisibility);
      stopClock();
      clearTimeout(this.timer);
      this.running?.abort();
    };
  }

  next(ms) {
    clearTimeout(this.timer);
    if (!document.hidden) this.timer = setTimeout(() => this.poll(), ms);
  }

  // Ask now, and then again as long as the page is shown; hidden, it asks nothing.
  async poll() {
    const began = performance.now();

    if (this.ended) return;
    clearTimeout(this.timer);
    try {
      await this.ask();
      this.away.hidden = true;
    } catch (error) {
      if (this.ended || error.name === "AbortError") return;
      if (error.status === FORBIDDEN) {
        this.ended = true;
        forbid(this.main);
        return;
      }
      replace(this.away, failure(error));
      this.away.hidden = false;
    }
    if (!this.ended) this.next(Math.max(PACE, SHARE * (performance.now() - began)));
  }

  // Another choice of reports: in the address, too.
  choose(changes) {
    Object.assign(this.filter, changes);
    setQuery(Object.entries(this.filter).filter(([, value]) => value));
    this.list.chosen();
    return this.poll();
  }

  // All, or one source.
  async pause(source, paused) {
    try {
      await call("POST", "/Admin/Queue", { body: { paused, source } });
      const what = source === null ? "The queue" : `The source ${source}`;

      notify(paused ? `${what} is paused: nothing more starts.` : `${what} goes on.`);
    } catch (error) {
      notifyError(error);
    }
    await this.poll();
  }
}
