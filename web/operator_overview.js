// web/operator_overview.js -- the queue, workers, sources, users, nodes and disks, as they are now.

import { serverNow } from "/console/api.js";
import { button, el, icon, placeRows, replace, setText } from "/console/dom.js";
import { bytes, clock, number } from "/console/format.js";

const SCARCE = 0.1; // of a disk

function figure(name) {
  const value = el("dd", { class: "number" }), more = el("dd", { class: "muted small number" });

  return { node: el("div", { class: "figure" }, el("dt", {}, name), value, more),
    set(text, note = "") { setText(value, text); setText(more, note); } };
}

function group(title, list, note = "") {
  return el("section", { class: "panel group", "aria-label": title },
    el("h2", {}, title, note ? el("span", { class: "muted small" }, ` ${note}`) : null), list);
}

// A line of a group: a name and what is said of it.
class Line {
  constructor(name, ...more) {
    this.said = el("span", { class: "said number" });
    this.node = el("li", {}, el("span", { class: "what" }, name), this.said, more);
  }

  say(text) {
    setText(this.said, text);
  }
}

class SourceLine extends Line {
  constructor({ name }, { pause, choose }) {
    super(chooser(name, { source: name }, choose));
    this.sign = el("span", { class: "state state-queued", hidden: true }, icon("pause"), "Paused");
    this.control = button("", () => pause(name, !this.paused), { look: "quiet" });
    this.node.append(this.sign, this.control);
  }

  update({ name, running, maxRunning, paused }) {
    this.say(maxRunning > 0 ? `${running} of ${maxRunning} running` : `${running} running`);
    this.paused = paused;
    this.sign.hidden = !paused;
    setText(this.control, paused ? "Resume" : "Pause");
    this.control.setAttribute("aria-label", `${paused ? "Resume" : "Pause"} the source ${name}`);
    return this;
  }
}

// A link that chooses the reports that are listed.
function chooser(name, filter, choose) {
  return el("a", { href: `#/operator?${new URLSearchParams(filter)}`, on: { click: (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose(filter);
  } } }, name);
}

class Lines {
  constructor(title, keyOf, make, note) {
    this.rows = new Map();
    this.list = el("ul", { class: "lines" });
    this.node = group(title, this.list, note);
    this.how = { keyOf, make: (item) => make(item).update(item),
      update: (row, item) => row.update(item) };
  }

  draw(items) {
    placeRows(this.list, this.rows, items, this.how);
    this.node.hidden = items.length === 0;
  }
}

// A line whose text follows from its item.
function lineOf(name, text) {
  const line = new Line(name);

  line.update = (item) => { line.say(text(item)); return line; };
  return line;
}

export class Overview {
  constructor({ pause, choose }) {
    this.control = button("", () => pause(null, !this.paused));
    this.figures = { queued: figure("Queued"), processing: figure("Running"),
      workers: figure("Workers"), complete: figure("Complete"), error: figure("Failed") };
    this.banner = el("p", { class: "banner", hidden: true }, icon("pause"),
      el("span", {}, el("b", {}, "The queue is paused."),
        " Requests are accepted and wait; what runs goes on."));
    this.sources = new Lines("Sources", ({ name }) => name,
      (source) => new SourceLine(source, { pause, choose }));
    this.users = new Lines("Users", ({ name }) => name, ({ name }) => (
      lineOf(chooser(name, { user: name }, choose), ({ running, queued }) => (
        `${number(running)} running, ${number(queued)} queued`))), "with active reports");
    this.nodes = new Lines("Nodes", ({ id, host }) => id ?? host, ({ host }) => (
      lineOf(host, ({ running }) => `${number(running)} running`)));
    this.disks = new Lines("Disks", ({ what }) => what, ({ what }) => (
      lineOf(what, ({ bytes: all, freeBytes }) => (
        `${freeBytes < all * SCARCE ? "nearly full: " : ""}${bytes(freeBytes)} of ${
          bytes(all)} free`))), "of this node");
    this.node = el("div", { class: "overview" }, this.banner,
      el("dl", { class: "panel figures" }, Object.values(this.figures).map(({ node }) => node)),
      el("div", { class: "groups" }, this.sources.node, this.users.node, this.nodes.node,
        this.disks.node));
  }

  draw(data) {
    const { queue, workers } = data;

    this.data = data;
    this.banner.hidden = !queue.paused;
    if (queue.paused !== this.paused) {
      replace(this.control, icon(queue.paused ? "run" : "pause"),
        queue.paused ? "Resume the queue" : "Pause the queue");
    }
    this.paused = queue.paused;
    for (const state of ["processing", "complete", "error"]) {
      this.figures[state].set(number(queue[state]));
    }
    this.figures.workers.set(`${workers.busy}/${workers.count}`, "busy on this node");
    this.sources.draw(data.sources);
    this.users.draw(data.users);
    this.nodes.draw(data.nodes);
    this.disks.draw(data.disks);
    this.tick();
  }

  // What changes by itself.
  tick() {
    const { queued, oldestQueuedAt } = this.data.queue;

    this.figures.queued.set(number(queued), oldestQueuedAt
      ? `oldest ${clock(serverNow() - Date.parse(oldestQueuedAt))}` : "");
  }
}
