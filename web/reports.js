// web/reports.js -- the screen Reports: the types that one may run.

import { call } from "/console/api.js";
import { heading } from "/console/app.js";
import { el, replace } from "/console/dom.js";

export async function show(main) {
  const { data } = await call("GET", "/Report/Types");

  replace(main, heading("Reports"), el("ul", {}, data.map((type) => el("li", {}, type.name))));
}
