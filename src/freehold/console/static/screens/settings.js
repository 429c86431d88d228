// Settings: each value, where it comes from, and whether a running gateway takes it over.

import { el } from "../pieces/dom.js";
import { count } from "../pieces/format.js";
import { empty, filters, fold, note, panel, pill, table } from "../pieces/parts.js";

const SOURCES = { file: ["freehold.toml", "good"], environment: ["environment", "good"], default: ["default", ""] };

/** What stands between backticks as code. */
const coded = (text) => text.split("`").map((part, at) => (at % 2 ? el("code", {}, part) : part));

const lines = (rows, caption, none = null) => el("div", { class: "keys-of-file" }, table([
  { head: "name", cell: (r) => el("code", {}, r.name) }, { head: "value", cell: (r) => (r.value === null ? el("span", { class: "soft" }, "not set") : el("code", {}, r.value)) },
  { head: "from", cell: (r) => pill(...SOURCES[r.source]) }, { head: "in force", cell: (r) => (r.restart ? "at the next start" : "when it is saved") },
  { head: "what it is", cell: (r) => [coded(r.meaning), r.words.length ? el("span", { class: "soft" }, ` One of ${r.words.join(", ")}.`) : null] }], rows, { caption, cards: true, empty: none }));

/** Some two hundred keys: each table of the file folded away, all open where words are looked for. */
function byTable(rows, open) {
  const tables = new Map();
  for (const row of rows) {
    const name = row.name.slice(0, row.name.indexOf("]") + 1);
    tables.set(name, [...(tables.get(name) ?? []), row]);
  }
  return [...tables].map(([name, some]) => {
    const folded = fold(`table-${name}`, `${name}, ${count(some.length)}`, lines(some, `Defaults of ${name}`));
    folded.open = open;
    return folded;
  });
}

export function draw(record, view) {
  const set = record.project.filter((r) => r.source === "file"), rest = record.project.filter((r) => r.source !== "file"), asked = Boolean(view.query.find);
  const none = asked ? "Nothing has these words in its name or its meaning." : null;
  return [filters([{ name: "find", label: "Words in a name or its meaning", kind: "search", placeholder: "port, price, retention" }], view),
    record.unread ? note("bad", `freehold.toml cannot be read as it is now, so its values are not shown: ${record.unread}`) : null,
    record.file ? panel("What this project sets", { "data-key": "set" }, el("p", { class: "soft" }, "In ", el("code", {}, record.file), ". A running gateway picks up changes."),
      set.length || asked ? lines(set, "Values of freehold.toml", none) : null)
      : empty("No freehold.toml", "All values are defaults. A file says which application moves, and from which model.", "freehold init LOG"),
    panel("This machine", { "data-key": "machine" }, el("p", { class: "soft" }, "Variables of the environment that this console was started with."), lines(record.machine, "Variables of the environment", none)),
    panel("What the file may say as well", { "data-key": "rest" }, rest.length ? byTable(rest, asked) : el("p", { class: "soft" }, none))];
}
