// Settings: each value, where it comes from, and whether a running gateway takes it over.

import { el } from "../pieces/dom.js";
import { empty, note, panel, pill, table } from "../pieces/parts.js";

const SOURCES = { file: ["freehold.toml", "good"], environment: ["environment", "good"], default: ["default", ""] };

const lines = (rows, caption) => table([
  { head: "name", cell: (r) => el("code", {}, r.name) }, { head: "value", cell: (r) => (r.value === null ? el("span", { class: "soft" }, "not set") : el("code", {}, r.value)) },
  { head: "from", cell: (r) => pill(...SOURCES[r.source]) }, { head: "in force", cell: (r) => (r.restart ? "at the next start" : "when the file is saved") },
  { head: "what it is", cell: (r) => [r.meaning, r.words.length ? el("span", { class: "soft" }, ` One of ${r.words.join(", ")}.`) : ""] }], rows, { caption, cards: true, key: (r) => `${r.name}-${r.value}` });

export function draw(record) {
  const set = record.project.filter((r) => r.source === "file"), rest = record.project.filter((r) => r.source !== "file");
  return [record.unread ? note("bad", `freehold.toml cannot be read as it is now: ${record.unread}`) : null,
    record.file ? panel("What this project sets", { "data-key": "set" }, el("p", { class: "soft" }, "In ", el("code", {}, record.file), ". A gateway that runs looks at it."), lines(set, "Values of freehold.toml"))
      : empty("No freehold.toml", "All values are defaults. A file says which application moves, and from which model.", "freehold init LOG"),
    panel("This machine", { "data-key": "machine" }, el("p", { class: "soft" }, "Variables of the environment that this console was started with."), lines(record.machine, "Variables of the environment")),
    panel("What the file may say as well", { "data-key": "rest" }, lines(rest, "Defaults"))];
}
