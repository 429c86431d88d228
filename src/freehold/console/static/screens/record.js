// One stored record as it is. Ids in it lead on to the records they name.

import { el } from "../pieces/dom.js";
import { count } from "../pieces/format.js";
import { empty, fold, link, panel } from "../pieces/parts.js";

const ID = /^(?:[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12})$/;
const DEEP = 6, LONG = 200;

/** A value of JSON as text and lists, deep parts folded. */
function value(name, given, depth, path) {
  if (given === null || typeof given !== "object") {
    const words = typeof given === "string" ? given : JSON.stringify(given);
    return ID.test(words) ? link(words, "record", { id: words }) : el("span", { class: typeof given === "string" ? "words" : "" }, words);
  }
  const entries = Object.entries(given);
  if (!entries.length) return Array.isArray(given) ? "none" : "empty";
  if (depth >= DEEP) return el("code", {}, JSON.stringify(given).slice(0, 2000));
  const list = el("dl", { class: "tree" }, entries.slice(0, LONG).map(([key, part]) =>
    el("div", {}, el("dt", {}, key), el("dd", {}, value(key, part, depth + 1, `${path}.${key}`)))),
  entries.length > LONG ? el("p", { class: "soft small" }, `and ${count(entries.length - LONG)} more`) : null);
  return depth > 0 && entries.length > 8 ? fold(path, `${name}: ${count(entries.length)} entries`, list) : list;
}

export function draw(record) {
  if (!record.id) return empty("Which record?", "Every figure with a dotted line leads to the record it came from.", null);
  const found = record.records.map((one) => panel(one.kind, { "data-key": one.kind },
    el("p", { class: "soft small" }, `${count(one.size_bytes)} bytes, id `, el("code", {}, record.id)),
    one.made_from.length ? el("p", { class: "small" }, "Made from ", one.made_from.map((id) => [link(id.slice(0, 12), "record", { id }), " "])) : null,
    one.body === null ? el("p", {}, "Too large for a page.") : value(one.kind, one.body, 0, one.kind)));
  if (record.is_trace) found.push(panel("trace", {}, link("See the trace", "trace", { id: record.id })));
  return found.length ? found : empty("There is no such record", `Nothing is kept under the id ${record.id}. It may have been forgotten or pruned.`, "freehold store check");
}
