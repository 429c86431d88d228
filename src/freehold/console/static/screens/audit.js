// The audit record: who changed what, when, from where and why. It only grows.

import { el } from "../pieces/dom.js";
import { moment } from "../pieces/format.js";
import { empty, filters, fold, table } from "../pieces/parts.js";

const FIELDS = [{ name: "action", label: "What", placeholder: "key, or key.revoke" }, { name: "who", label: "Who" }, { name: "subject", label: "Of what" }];

const detail = (entry) => (Object.keys(entry.detail).length ? fold(`entry-${entry.number}`, "detail", el("pre", {}, JSON.stringify(entry.detail, null, 1))) : "");

export function draw(record, view) {
  if (!record.entries.length && !Object.keys(view.query).length) return empty("Nothing was changed yet", "Each change of routes, keys, rollouts and data is kept here with who, when and why.", "freehold audit");
  const columns = [{ head: "number", cell: (e) => e.number }, { head: "when", cell: (e) => moment(e.at) }, { head: "who", cell: (e) => e.who }, { head: "what", cell: (e) => [el("b", {}, e.action), ` ${e.subject}`] },
    { head: "why", cell: (e) => e.why || "–" }, { head: "from", cell: (e) => el("span", { class: "small soft" }, e.source) }, { head: "", cell: detail }];
  return [filters(FIELDS, view), table(columns, record.entries, { caption: "Changes, newest first", key: (e) => e.number, cards: true, empty: "No entry meets all of it.",
    next: record.next === null ? null : view.with({ after: record.next }), first: view.query.after ? view.with({ after: null }) : null })];
}
