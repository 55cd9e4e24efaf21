// web/operator_overview.js -- the queue, workers, sources, users, nodes and disks, as they are now.

import { serverNow } from "./api.js";
import { button, el, icon, placeRows, replace, setText } from "./dom.js";
import { bytes, clock, number } from "./format.js";

const SCARCE = 0.1; // of a disk

function figure(name) {
  const value = el("dd.number"), more = el("dd.muted.small.number");

  return { node: el("div.figure", el("dt", name), value, more),
    set(text, note = "") { setText(value, text); setText(more, note); } };
}

// A link that filters the list of reports.
function chooser(name, filter, choose) {
  return el("a.link", { href: `#/operator?${new URLSearchParams(filter)}`, on: { click: (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose(filter);
  } } }, name);
}

// A list with a line for each of what it draws: a name, and what text(item) says of it.
class Lines {
  constructor(title, note, keyOf, { name = keyOf, text, more = () => {} }) {
    this.rows = new Map();
    this.list = el("ul.lines");
    this.node = el("section.panel.group", { "aria-label": title },
      el("h2", title, note && el("span.muted.small", ` ${note}`)), this.list);
    this.how = { keyOf, update: (line, item) => line.update(item), make: (item) => {
      const said = el("span.muted.number");
      const line = { node: el("li", el("span.what", name(item)), said),
        update: (now) => { setText(said, text(now)); more(line, now); } };

      line.update(item);
      return line;
    } };
  }

  draw(items) {
    placeRows(this.list, this.rows, items, this.how);
    this.node.hidden = items.length === 0;
  }
}

// A source can be paused, too.
function addPause(line, { name, paused }, pause) {
  if (!line.control) {
    line.sign = el("span.state.state-queued", { hidden: true }, icon("pause"), "Paused");
    line.control = button("", () => pause(name, !line.paused), { look: "quiet" });
    line.node.append(line.sign, line.control);
  }
  line.paused = paused;
  line.sign.hidden = !paused;
  setText(line.control, paused ? "Resume" : "Pause");
  line.control.ariaLabel = `${paused ? "Resume" : "Pause"} the source ${name}`;
}

export class Overview {
  constructor({ pause, choose }) {
    this.control = button("", () => pause(null, !this.paused));
    this.figures = { queued: figure("Queued"), processing: figure("Running"),
      workers: figure("Workers"), complete: figure("Complete"), error: figure("Failed") };
    this.banner = el("p.banner", { hidden: true }, icon("pause"),
      el("span", el("b", "The queue is paused."),
        " Requests are accepted and wait; what runs goes on."));
    this.sources = new Lines("Sources", "", ({ name }) => name, {
      name: ({ name }) => chooser(name, { source: name }, choose),
      text: ({ running, maxRunning }) => (
        `${running}${maxRunning > 0 ? ` of ${maxRunning}` : ""} running`),
      more: (line, source) => addPause(line, source, pause) });
    this.users = new Lines("Users", "with active reports", ({ name }) => name, {
      name: ({ name }) => chooser(name, { user: name }, choose),
      text: ({ running, queued }) => `${number(running)} running, ${number(queued)} queued` });
    this.nodes = new Lines("Nodes", "", ({ id, host }) => id ?? host, {
      name: ({ host }) => host, text: ({ running }) => `${number(running)} running` });
    this.disks = new Lines("Disks", "of this node", ({ what }) => what, {
      text: ({ bytes: all, freeBytes }) => `${freeBytes < all * SCARCE ? "nearly full: " : ""}${
        bytes(freeBytes)} of ${bytes(all)} free` });
    this.node = el("div.overview", this.banner,
      el("dl.panel.figures", Object.values(this.figures).map(({ node }) => node)),
      el("div.groups", this.sources.node, this.users.node, this.nodes.node, this.disks.node));
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
