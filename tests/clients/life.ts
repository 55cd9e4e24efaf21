// life.ts URL USER PASSWORD: a report's whole life through the client that is generated from /openapi.json.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./api.ts";

const [baseUrl, username, password] = process.argv.slice(2) as [string, string, string];
const header = { Version: "2.0" } as const;
const { POST, GET, DELETE, use } = createClient<paths>({ baseUrl });

const login = await POST("/User/Login", { params: { header }, body: { username, password } });
assert(login.data, JSON.stringify(login.error));
const { accessToken, refreshToken } = login.data;
assert(refreshToken);
use({
  onRequest({ request }) {
    request.headers.set("Authorization", accessToken);
  },
});

const types = await GET("/Report/Types", { params: { header } });
assert(types.data && types.data.data.some((type) => "name" in type && type.name === "Quick"));

const submitted = await POST("/Report", {
  params: { header: { ...header, Prefer: "wait=30" } },
  body: { reportName: "Quick", parameters: { ProductID: "1" } },
});
const reference: string | {} | undefined = submitted.data?.data;
assert(typeof reference === "string", JSON.stringify(submitted.error ?? submitted.data));

const query = { reference };
let state: string | {} = "incomplete";
while (state === "incomplete") {
  const status = await GET("/Report/Status", { params: { header: { ...header, Prefer: "wait=30" }, query } });
  assert(status.data, JSON.stringify(status.error));
  state = status.data.data;
}
assert.equal(state, "complete");

const result = await GET("/Report", { params: { header, query } });
assert(result.data?.result && "results" in result.data.data);
const rows: number = result.data.data.results.length;
assert.equal(rows, 3);
const etag = result.response.headers.get("ETag");
assert(etag);

const listed = await GET("/Report/List", { params: { header, query: { State: "complete" } } });
assert(listed.data?.data.reports.some((report) => report.reference === reference && report.message === null));

const refused = await DELETE("/Report", { params: { header: { ...header, "If-Match": '"another"' }, query } });
assert.equal(refused.response.status, 412);
assert(refused.error && "message" in refused.error);

const deleted = await DELETE("/Report", { params: { header: { ...header, "If-Match": etag }, query } });
assert(deleted.data?.result, JSON.stringify(deleted.error));
assert(deleted.response.headers.get("X-Deletion-Receipt"));
const gone = await GET("/Report/Status", { params: { header, query } });
assert.equal(gone.data?.result, false);

const renewed = await POST("/User/RefreshToken", { params: { header }, body: { refreshToken } });
assert(renewed.data?.accessToken);
const out = await POST("/User/Logout", { params: { header }, body: {} });
assert(out.data?.result);
const late = await GET("/User/Me", { params: { header } });
assert.equal(late.response.status, 401);
console.log("deleted", reference);
