// web/result_chart.js -- the view Chart: one number over one text or date, as bars or a line.

import { failure } from "./dialogs.js";
import { el, replace } from "./dom.js";
import { shown } from "./exact.js";
import { counted, number } from "./format.js";
import { plainTable, titleOf, valueAt } from "./plain_table.js";
import { readWindow } from "./result_rows.js";

const ALL_MOST = 20000;             // rows that are all fetched; of more rows, a sample
const SAMPLES = 20, SAMPLE_ROWS = 50;
const POINTS_MAX = { bar: 60, line: 1000 };
const TICK_MAX = 18; // characters of a name at the axis
const NUMBERS = ["integer", "decimal", "number"];
const TEXTS = ["string", "date", "timestamp"];

// All rows, or windows spread evenly over the result, including the first and the last row.
async function readRows({ reference, total }, signal) {
  const found = [];
  const read = async (from, to) => {
    while (from < to) {
      const { rows } = await readWindow(reference, from, to - from, signal);

      found.push(...rows.filter((row) => row !== null));
      from += rows.length;
    }
  };

  if (total <= ALL_MOST) await read(0, total);
  for (let i = 0; total > ALL_MOST && i < SAMPLES; i++) {
    const from = Math.floor(i * (total - SAMPLE_ROWS) / (SAMPLES - 1));

    await read(from, from + SAMPLE_ROWS);
  }
  return found;
}

// The points: rows with the same x are combined. All rows are added up; of a sample the average is
// taken, since a sum would only show how many of them are in it.
function pointsOf(rows, x, y, isWhole) {
  const groups = new Map();

  for (const row of rows) {
    const value = shown(valueAt(row, y)), name = shown(valueAt(row, x));

    if (value === "") continue;
    if (groups.has(name)) groups.get(name).push(value);
    else groups.set(name, [value]);
  }
  const points = [...groups].map(([name, values]) => {
    const sum = values.reduce((total, value) => total + Number(value), 0);
    const text = values.length === 1 ? values[0]
      : String(Number((isWhole ? sum : sum / values.length).toPrecision(15)));

    return { name, text, rows: values.length };
  });

  if (x.type !== "string") points.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return points;
}

export async function showChart(box, result, signal) {
  try {
    const [, rows] = await Promise.all([import("./chart.min.js"),
      readRows(result, signal)]);

    if (!signal.aborted) new ChartView(box, result, rows, signal);
  } catch (error) {
    if (!signal.aborted && !result.failed(error))
      replace(box, failure(error, () => showChart(box, result, signal)));
  }
}

class ChartView {
  #chart = null;

  constructor(box, result, rows, signal) {
    const { columns, total } = result.rows;

    Object.assign(this, { rows, total, xs: columns.filter(({ type }) => TEXTS.includes(type)),
      ys: columns.filter(({ type }) => NUMBERS.includes(type)) });
    if (total === 0 || this.xs.length === 0 || this.ys.length === 0) {
      replace(box, el("p.empty", total === 0
        ? "There is nothing to draw: the result has no rows."
        : "A chart needs a column of numbers and one of texts or dates. This result has none."));
      return;
    }
    this.result = result;
    this.#build(box, result.query);
    const theme = new MutationObserver(() => this.draw());

    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)")
      .addEventListener("change", () => this.draw(), { signal });
    signal.addEventListener("abort", () => { theme.disconnect(); this.#chart?.destroy(); });
    this.draw();
  }

  #build(box, query) {
    const choice = (key, label, options, first) => {
      const asked = query.get(key);
      const list = el("select", { id: `chart-${key}`, on: { change: () => {
        this.result.saveQuery({ [key]: list.value });
        this.draw();
      } } }, options.map(([value, text]) => el("option", { value }, text)));

      list.value = options.some(([value]) => value === asked) ? asked : first;
      return [list, el("div.labelled", el("label", { for: list.id }, label), list)];
    };
    const named = (columns) => columns.map((column) => [column.name, titleOf(column)]);
    const dates = this.xs.find(({ type }) => type !== "string");
    const money = this.ys.find(({ type }) => type === "decimal");
    const [y, yField] = choice("y", "Number", named(this.ys), (money ?? this.ys.at(-1)).name);
    const [x, xField] = choice("x", "Over", named(this.xs), (dates ?? this.xs[0]).name);
    const [kind, kindField] = choice("kind", "As", [["bar", "Bars"], ["line", "Line"]],
      dates ? "line" : "bar");

    Object.assign(this, { x, y, kind });
    this.caption = el("p.muted", { id: "chart-caption" });
    this.canvasBox = el("div.canvas");
    this.details = el("details");
    replace(box, el("div.tools", yField, xField, kindField), this.caption,
      this.canvasBox, this.details);
  }

  draw() {
    const x = this.xs.find(({ name }) => name === this.x.value);
    const y = this.ys.find(({ name }) => name === this.y.value);
    const isWhole = this.total <= ALL_MOST;
    const all = pointsOf(this.rows, x, y, isWhole);
    const points = all.slice(0, POINTS_MAX[this.kind.value]);
    const merged = all.some(({ rows }) => rows > 1);
    const yTitle = titleOf(y) + (isWhole ? merged ? " (sum)" : "" : " (average of a sample)");

    replace(this.caption, this.#describe(x, y, all, points, isWhole, merged));
    this.#drawChart(points, titleOf(x), yTitle);
    const wasOpen = this.details.open;

    replace(this.details, el("summary.button", "The same as a table"),
      plainTable(points, { label: `${titleOf(y)} over ${titleOf(x)}`, columns: [
        { name: "name", label: titleOf(x) }, { name: "text", label: yTitle },
        { name: "rows", label: "Rows" }] }));
    this.details.open = wasOpen;
  }

  // Which rows these are, and how they were combined.
  #describe(x, y, all, points, isWhole, merged) {
    return [`${titleOf(y)} over ${titleOf(x)}. `,
      isWhole ? `All ${counted(this.total, "row")}` : `A sample: ${number(this.rows.length)} of ` +
        `${counted(this.total, "row")}, taken evenly over the whole result`,
      merged ? `; rows of the same ${titleOf(x)} are ${isWhole ? "added up" : "averaged"}. ` : ". ",
      points.length < all.length ? `The first ${number(points.length)} of ` +
        `${counted(all.length, "value")} are drawn.` : ""];
  }

  // Chart.js changes a canvas permanently, so each drawing has a new one.
  #drawChart(points, xTitle, yTitle) {
    const style = getComputedStyle(document.documentElement);
    const probe = el("span.chart-colours");
    const canvas = el("canvas", { role: "img", "aria-label": `Chart: ${yTitle} over ${xTitle}`,
      "aria-describedby": "chart-caption" });

    this.#chart?.destroy();
    replace(this.canvasBox, canvas, probe);
    const { color, borderTopColor, backgroundColor } = getComputedStyle(probe);
    const axis = (text, ticks) => ({ title: { display: true, text, color },
      ticks: { color, maxRotation: 60, ...ticks }, grid: { color: borderTopColor } });
    const short = ({ name }) => (
      name.length > TICK_MAX ? `${name.slice(0, TICK_MAX - 1)}…` : name);

    this.#chart = new window.Chart(canvas, { type: this.kind.value,
      data: { labels: points.map(({ name }) => name), datasets: [{ label: yTitle,
        data: points.map(({ text }) => Number(text)), backgroundColor,
        borderColor: backgroundColor, borderWidth: { bar: 0, line: 2 }[this.kind.value],
        pointRadius: points.length > 100 ? 0 : 3 }] },
      options: { animation: false, responsive: true, maintainAspectRatio: false,
        font: { family: style.fontFamily }, scales: { y: axis(yTitle),
          x: axis(xTitle, { callback: (value) => short(points[value]) }) },
        plugins: { legend: { display: false }, tooltip: { callbacks: {
          label: ({ dataIndex }) => `${yTitle}: ${points[dataIndex].text}` } } } } });
  }
}
