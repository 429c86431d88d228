// Keys: who may ask the gateway, for what, and what it cost. A new one is shown once.

import { el } from "../pieces/dom.js";
import { tell } from "../pieces/dialogs.js";
import { day, usd } from "../pieces/format.js";
import { command, empty, link, note, pill, table } from "../pieces/parts.js";

const ROLES = [["use", "use: ask models"], ["read", "read: look at numbers"], ["operate", "operate: move traffic as well"], ["admin", "admin: everything"]];
const LIMITS = { requests_per_minute: "requests a minute", tokens_per_minute: "tokens a minute", concurrency: "at once", usd_per_day: "USD a day", usd_per_month: "USD a month" };

const limits = (key) => Object.entries(LIMITS).filter(([name]) => key.limits[name] != null).map(([name, words]) => `${key.limits[name]} ${words}`).join(", ") || "none";
const scope = (key) => [key.models.length ? `models ${key.models.join(", ")}` : "", key.routes.length ? `routes ${key.routes.join(", ")}` : ""].filter(Boolean).join("; ") || "all";
const counted = (key) => key.limits.usd_per_day != null || key.limits.usd_per_month != null || Number(key.spent_month_usd) > 0;
const spent = (key) => (counted(key) ? `${usd(key.spent_day_usd)} today, ${usd(key.spent_month_usd)} this month` : "not counted without a cap");

function state(key) {
  if (key.revoked_at) return pill(`revoked ${day(key.revoked_at)}`, "bad");
  if (key.expired) return pill(`expired ${day(key.expires_at)}`, "warn");
  return key.expires_at ? `until ${day(key.expires_at)}` : "in force";
}

async function issue(view) {
  const made = await view.ask({ title: "Make a key", text: "Its secret is shown once, and only a hash of it is kept.", yes: "Make it", fields: [
    { name: "name", label: "Name", required: true, placeholder: "app-eu" }, { name: "role", label: "What it may do", kind: "select", options: ROLES },
    { name: "models", label: "Only these models", placeholder: "all; or names with commas" }, { name: "routes", label: "Only these routes", placeholder: "all; or names with commas" },
    { name: "expires", label: "Good until", placeholder: "for ever; or 90d, 2027-01-31" },
    { name: "requests_per_minute", label: "Requests a minute", placeholder: "without limit" }, { name: "usd_per_day", label: "USD a day", placeholder: "without limit" }] }, "keys.add");
  if (made) tell(`The key of ${made.name}`, el("p", {}, "Copy it now: it cannot be shown again."), command(made.secret));
}

const end = (key, view) => view.ask({ title: `Revoke ${key.name}?`, text: "Every request with it is refused within a second. It cannot be taken back.", yes: "Revoke", danger: true }, "keys.revoke", { name: key.name });

export function draw(record, view) {
  const add = view.can("keys.add") ? el("button", { type: "button", class: "strong", "data-key": "add", onclick: () => issue(view) }, "Make a key") : null;
  if (!record.keys.length && !record.ended) return [empty("No keys", "While there is none, everyone who reaches the gateway may ask. The first key closes it to all others.", "freehold keys add NAME"), el("div", { class: "buttons" }, add)];
  const columns = [{ head: "key", cell: (k) => el("b", {}, k.name) }, { head: "role", cell: (k) => k.role }, { head: "state", cell: state }, { head: "limits", cell: limits }, { head: "good for", cell: scope },
    { head: "spent", cell: spent }, { head: "made", cell: (k) => `${day(k.made_at)}${k.made_by ? ` by ${k.made_by}` : ""}` },
    { head: "", cell: (k) => (view.can("keys.revoke") && !k.revoked_at ? el("button", { type: "button", class: "quiet danger", "aria-label": `Revoke ${k.name}`, onclick: () => end(k, view) }, "Revoke") : "") }];
  return [record.required ? null : note("warn", "The gateway asks for no key yet."), el("div", { class: "buttons" }, add,
    record.ended ? link(view.query.ended ? "Only those in force" : `Show ${record.ended} that ended`, "keys", view.query.ended ? {} : { ended: true }) : null),
  table(columns, record.keys, { caption: "Keys of the gateway", key: (k) => k.name, cards: true, empty: "No key is in force: the gateway refuses every request." })];
}

export const keys = (view) => (view.can("keys.add") ? { n: { words: "make a key", press: () => issue(view) } } : {});
