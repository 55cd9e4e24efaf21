// web/result.js -- the screen Result: a placeholder.

import { heading } from "/console/app.js";
import { el, replace } from "/console/dom.js";

export async function show(main, route) {
  replace(main, heading("Result"), el("p", {}, route.path[1] ?? ""));
}
