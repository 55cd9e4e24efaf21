// web/result_rows.js -- the rows of a result, fetched in windows; only the latest are kept.

import { fetchText } from "./api.js";
import { parseExact, shown } from "./exact.js";

const WINDOW = 200;      // rows
const KEPT_MAX = 4e6;    // characters of JSON in the windows that are not on the screen
const TOO_LARGE = 422;   // the status of one row that is larger than an answer may be

// Some rows and the columns: {from, rows, columns, total, size}. There may be fewer rows than
// `count`, since an answer has a greatest size; one that is larger is `null`.
export async function readWindow(reference, from, count, signal) {
  try {
    const { text } = await fetchText("GET", "/Report/Rows",
      { query: { reference, from, count: Math.min(count, 1000) }, signal });
    const { columns, rows, totalRows } = parseExact(text).data;

    return { from, rows, columns, total: Number(shown(totalRows)), size: text.length };
  } catch (error) {
    if (error.status === TOO_LARGE) return { from, rows: [null], size: 0 };
    throw error;
  }
}

export class Rows {
  columns = [];
  total = null; // until the first window is here
  error = null; // what ended the fetching, until retry()
  #windows = []; // the latest is the last one
  #wanted = [0, 0];
  #busy = null;
  #control = new AbortController();

  // onChange() is called after each window, and when there is an error.
  constructor(reference, onChange) {
    this.reference = reference;
    this.onChange = onChange;
  }

  // Fetch the rows from `first` to before `last`, unless they are here. Earlier requests are
  // dropped.
  want(first, last) {
    this.#wanted = [first, last];
    if (!this.error) this.#busy ??= this.#fetchAll().finally(() => { this.#busy = null; });
    return this.#busy;
  }

  retry() {
    this.error = null;
    return this.want(...this.#wanted);
  }

  // A row; undefined if it is not here, null if it is too large.
  at(number) {
    const window = this.#windowOf(number);

    return window && window.rows[number - window.from];
  }

  // Nothing of the result is left, and no more is fetched.
  close() {
    this.#control.abort();
    this.#windows = [];
    this.columns = [];
  }

  #windowOf(number) {
    return this.#windows.find(({ from, rows }) => number >= from && number < from + rows.length);
  }

  async #fetchAll() {
    try {
      for (let at; (at = this.#missing()) >= 0;) {
        const window = await this.#fetch(at);

        if (this.#control.signal.aborted) return;
        this.#keep(window);
        this.onChange();
      }
    } catch (error) {
      if (this.#control.signal.aborted) return;
      this.error = error;
      this.onChange();
    }
  }

  // The first row that is wanted and is not here, or -1.
  #missing() {
    const last = Math.min(this.#wanted[1], this.total ?? Infinity);

    for (let at = this.#wanted[0]; at < last;) {
      const window = this.#windowOf(at);

      if (!window) return at;
      at = window.from + window.rows.length;
    }
    return -1;
  }

  // From a multiple of WINDOW, or from where an earlier answer ended.
  #fetch(at) {
    const start = at - at % WINDOW;
    const ends = this.#windows.map(({ from, rows }) => from + rows.length)
      .filter((end) => end <= at);
    const from = Math.max(start, ...ends);

    return readWindow(this.reference, from, start + WINDOW - from, this.#control.signal);
  }

  #keep(window) {
    if (window.columns) {
      this.columns = window.columns;
      this.total = window.total;
    }
    this.#windows.push(window);
    const [first, last] = this.#wanted;
    let size = this.#windows.reduce((sum, each) => sum + each.size, 0);

    this.#windows = this.#windows.filter((each) => {
      const isWanted = each.from < last && each.from + each.rows.length > first;

      if (size <= KEPT_MAX || isWanted) return true;
      size -= each.size;
      return false;
    });
  }
}
