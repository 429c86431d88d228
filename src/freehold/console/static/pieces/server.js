// The console's server: who looks, the record of a screen, and what a button does.

// The token stays in this tab's storage, which is of this port alone; a cookie would go to every port of the host.
const TOKEN = "freehold-token";

/** An answer that is an error, with what to do about it. `status` is 0 where there was no answer at all. */
export class Refused extends Error {
  constructor(status, message, hint = null) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

/** Take the token out of the address that `freehold console` printed. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return;
  sessionStorage.setItem(TOKEN, given);
  history.replaceState(null, "", location.pathname);
}

export const hasToken = () => sessionStorage.getItem(TOKEN) !== null;
export const dropToken = () => sessionStorage.removeItem(TOKEN);

/** Ask the server, with the token. Throws `Refused`. */
async function call(path, options = {}) {
  let reply, text;
  try {
    reply = await fetch(path, { ...options, headers: { Authorization: `Bearer ${sessionStorage.getItem(TOKEN) ?? ""}` } });
    text = await reply.text();
  } catch {
    throw new Refused(0, "the console does not answer", "is freehold console still running?");
  }
  if (reply.ok) return text;
  let error = `the console answers with status ${reply.status}`, hint = null;
  try {
    ({ error, hint } = JSON.parse(text));
  } catch { /* not freehold's own words: a proxy in between */ }
  throw new Refused(reply.status, error, hint);
}

export const visitor = async () => JSON.parse(await call("/api/visitor"));

/** The record of a screen, as text: two that are equal need not be drawn twice. */
export const screenRecord = (name, query) => call(`/api/screens/${encodeURIComponent(name)}?${new URLSearchParams(query)}`);

/** Do what a button says; the result is what the server tells of it, or null. */
export const act = async (name, body) =>
  JSON.parse(await call(`/api/actions/${encodeURIComponent(name)}`, { method: "POST", body: JSON.stringify(body) })).result;

export async function login(key) {
  const { token } = JSON.parse(await call("/api/login", { method: "POST", body: JSON.stringify({ key }) }));
  sessionStorage.setItem(TOKEN, token);
}

export async function openReport(name) {
  const { ticket } = JSON.parse(await call(`/api/reports/${encodeURIComponent(name)}`, { method: "POST" }));
  location.assign(`/reports/${encodeURIComponent(name)}?ticket=${ticket}`);
}
