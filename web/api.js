// web/api.js -- calls of the API, and the session that they belong to.

const ACCEPT = "application/json, application/problem+json";

// The access token is kept here and nowhere else; the refresh token is a cookie that scripts
// cannot read. Tabs hand a new access token on to each other, because a refresh revokes the old.
let token = null;
let renewal = null; // the refresh in progress, if any
let relogin = null; // {promise, resolve} while the session has ended and a login is awaited
let isAway = false; // the last request did not reach the server
let skew = 0;       // the server's clock minus ours, in milliseconds
// The event of the window when the server, which could not be reached, answers again.
export const REACHED = "reportd-reached";

const endCallbacks = new Set();
const channel = new BroadcastChannel("reportd-session");

export class ApiError extends Error {
  constructor(status, message, { data = null, retryAfter = 0, title = "" } = {}) {
    super(message);
    this.name = "ApiError";
    Object.assign(this, { status, data, retryAfter, title });
  }

  // The server was not reached, or asks to try again: the same request may succeed later.
  get passing() {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

// The time by the server's clock, from which its timestamps are.
export function serverNow() {
  return Date.now() + skew;
}

function target(path, query) {
  const given = Object.entries(query ?? {})
    .filter(([, value]) => value !== undefined && value !== null && value !== "");

  return given.length > 0 ? `${path}?${new URLSearchParams(given)}` : path;
}

async function reach(path, options) {
  try {
    const response = await fetch(path, { cache: "no-store", credentials: "same-origin",
      redirect: "error", referrerPolicy: "no-referrer", ...options });

    if (isAway) window.dispatchEvent(new Event(REACHED));
    isAway = false;
    return response;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    isAway = true;
    throw new ApiError(0, "The server cannot be reached.");
  }
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function noteClock(response) {
  const date = Date.parse(response.headers.get("Date") ?? "");

  if (!Number.isNaN(date)) {
    const now = date + 500 - Date.now(); // the header has whole seconds

    if (Math.abs(now - skew) > 1000) skew = Math.abs(now) > 1500 ? now : 0;
  }
}

// The content of a JWT, which is not verified here.
export function claimsOf(jwt) {
  try {
    const text = atob(jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));

    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

// The error for an answer of send(): problem details, an envelope, or neither.
export async function errorOf(response) {
  const body = read(await response.text()) ?? {};

  return new ApiError(response.status,
    body.detail ?? body.message ?? `The server answered ${response.status}.`, {
      data: body.data ?? null, title: body.title ?? "",
      retryAfter: Number(response.headers.get("Retry-After") ?? 0) });
}

// One request with the token: renewed once if it is refused, and after a login if that fails, too.
// For what is not an envelope: streams, and parts of results. The answer may have any status.
export async function send(method, path, { query, body, signal, headers } = {}) {
  const options = { method, signal, body: body === undefined ? undefined : JSON.stringify(body) };

  for (let attempt = 0; ; attempt++) {
    const used = token ?? await renew();
    const response = await reach(target(path, query), { ...options,
      headers: { Version: "2.0", Authorization: used,
        Accept: ACCEPT,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers } });

    noteClock(response);
    if (response.status !== 401 || attempt >= 3) return response;
    if (token === used) token = null;
  }
}

// The text of an answer, and its headers. Throws ApiError if it is an error.
export async function fetchText(method, path, options) {
  const response = await send(method, path, options);

  if (!response.ok) throw await errorOf(response);
  return { text: await response.text(), headers: response.headers };
}

// One call: the data of its envelope, and the headers. Throws ApiError if it is an error.
export async function call(method, path, options) {
  const { text, headers } = await fetchText(method, path, options);

  return { data: read(text)?.data ?? null, headers };
}

// ---- the session ----

function renew() {
  if (relogin) return relogin.promise;
  renewal ??= exclusively(refresh).catch((error) => {
    if (error.status !== 401 || session.user === null) throw error;
    return ended();
  }).finally(() => { renewal = null; });
  return renewal;
}

// One tab at a time, where the browser can tell tabs apart.
function exclusively(action) {
  return navigator.locks ? navigator.locks.request("reportd-refresh", action) : action();
}

async function refresh() {
  if (token) return token; // another tab was faster
  await obtain("/User/RefreshToken", {});
  share();
  return token;
}

// A request without the access token.
async function obtain(path, body) {
  const response = await reach(path, { method: "POST", body: JSON.stringify(body),
    headers: { Version: "2.0", "Content-Type": "application/json", Accept: ACCEPT } });

  if (!response.ok) throw await errorOf(response);
  return adopt((await response.json()).accessToken);
}

// If the token belongs to another user, whose cookie arrived in some other way, the page starts
// again.
function adopt(fresh) {
  if (session.user !== null && claimsOf(fresh).sub !== session.user) return startOver();
  token = fresh;
  return token;
}

// Nothing of one user is left for the next: no data, address, notice, or request in progress. Code
// that still asks for a token waits until the page is gone.
function startOver() {
  token = null;
  channel.onmessage = null;
  relogin = { promise: new Promise(() => {}) };
  history.replaceState(null, "", "#/login");
  location.reload();
  return relogin.promise;
}

// Shared with the other tabs, once it is known whose token it is.
function share() {
  if (session.user !== null) channel.postMessage({ token, user: session.user });
}

// The session has ended by itself: requests in progress wait for the login.
function ended() {
  token = null;
  if (!relogin) {
    relogin = {};
    relogin.promise = new Promise((resolve) => { relogin.resolve = resolve; });
    for (const callback of endCallbacks) callback("expired");
  }
  return relogin.promise;
}

// After a login, here or in another tab, requests that waited for it continue.
function resume() {
  if (!relogin) return;
  relogin.resolve(token);
  relogin = null;
  for (const callback of endCallbacks) callback("back");
}

async function identify() {
  const { data } = await call("GET", "/User/Me");

  session.user = data.name;
  session.operator = data.operator === true;
  session.limits = data.limits ?? {};
  share();
}

export const session = {
  user: null,      // the name, null while nobody is logged in
  operator: false,
  limits: {},      // as in /User/Me

  // Throws ApiError: 401 with the server's message if the credentials are wrong.
  async login(name, password) {
    await obtain("/User/Login?cookie=1", { username: name, password });
    await identify();
    resume();
  },

  // By the cookie; false if there is no session. `prepare` is called as soon as there is one.
  async restore(prepare) {
    try {
      await renew();
      prepare?.();
      await identify();
      return true;
    } catch (error) {
      if (error.status === 401 || error.status === 400) return false;
      throw error;
    }
  },

  // Ends the session on the server; throws if the server could not be reached.
  async logout() {
    if (!relogin) await call("POST", "/User/Logout", { body: {} });
    channel.postMessage({ out: true });
    startOver();
  },

  // Is a login awaited?
  get hasEnded() {
    return relogin !== null;
  },

  // callback("expired"): a login is awaited; "back": it has happened.
  onEnd(callback) {
    endCallbacks.add(callback);
    return () => endCallbacks.delete(callback);
  },
};

channel.onmessage = ({ data }) => {
  if (session.user === null) return;
  if (data.user === session.user) {
    token = data.token;
    resume();
  } else {
    startOver(); // logged out, or another user has logged in: the cookie is theirs
  }
};
