// Items of an evaluation: question, both answers with what differs between them, causes.

import { el } from "./dom.js";
import { count, ms } from "./format.js";
import { filters, fold, link, panel, pill } from "./parts.js";

const SHOWS = [["worse", "got worse"], ["better", "got better"], ["different", "different answers"], ["unscored", "not scored"], ["all", "all"]];
let onlyChanges = true;

/** A text as it is kept, with the length of all of it where it was cut. */
export const whole = (text) => (text === null ? el("em", { class: "soft" }, "no answer") : el("span", { class: "words" }, text.text,
  text.characters > text.text.length ? el("em", { class: "soft" }, ` … ${count(text.characters)} characters in all`) : null));

const score = (value) => (value === null ? "not scored" : Number(value.toFixed(3)));

/** Words of both answers in one text: struck out is the incumbent's alone, underlined the candidate's alone. */
const piece = ({ side, text }) => (side === "both" ? el("span", { class: "both" }, text)
  : el(side === "incumbent" ? "del" : "ins", { title: side === "incumbent" ? "only the incumbent" : "only the candidate" }, text));

function fieldTable(fields) {
  const known = fields.some((one) => one.right !== null);
  const cell = (value, right) => el("td", { class: right === null ? "words" : value === right ? "words good" : "words bad" }, value ?? el("em", { class: "soft" }, "absent"));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Fields of both answers" }, el("table", {},
    el("thead", {}, el("tr", {}, ["field", "incumbent", "candidate", known ? "right" : null].filter(Boolean).map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, fields.map((one) => el("tr", { class: one.changed ? "" : "same" }, el("td", {}, one.path), cell(one.incumbent, one.right), cell(one.candidate, one.right),
      known ? el("td", { class: "words" }, one.right ?? "–") : null)))));
}

function changes(difference) {
  if (difference.fields.length) return fieldTable(difference.fields);
  return difference.pieces.length ? el("p", { class: "difference words" }, difference.pieces.map(piece)) : null;
}

const answer = (name, shown) => el("div", {}, el("h4", {}, name, " ", pill(String(score(shown.score)), shown.score === 0 ? "bad" : shown.score === 1 ? "good" : "")),
  whole(shown.output), shown.reason ? el("p", { class: "small soft" }, shown.reason) : null, shown.error ? el("p", { class: "small bad" }, shown.error) : null,
  shown.total_ms === null ? null : el("p", { class: "small soft" }, ms(shown.total_ms)));

function item(one, view) {
  return el("article", { class: "item", "data-row": true, tabindex: "-1", "data-key": `item-${one.rank}`, "aria-label": `Item ${one.rank + 1}` },
    el("header", {}, el("b", {}, String(one.rank + 1)), one.causes.map((cause) => link(cause, view.screen, { ...view.query, cause, after: "" }, { class: "pill" })),
      el("span", { class: "id small soft" }, one.sample_id.slice(0, 12))),
    el("p", { class: "question" }, whole(one.question)), changes(one.difference),
    one.reference ? el("p", { class: "small" }, el("span", { class: "soft" }, "Right: "), whole(one.reference)) : null,
    fold(`answers-${one.rank}`, "Both answers", el("div", { class: "sides" }, answer("Incumbent", one.incumbent), answer("Candidate", one.candidate))));
}

function setOnlyChanges(wanted) {
  onlyChanges = wanted;
  document.querySelector(".items")?.classList.toggle("only-changes", wanted);
  const box = document.querySelector("#only-changes");
  if (box) box.checked = wanted;
}

/** The items that the filters leave, ten to a page. */
export function itemList(detail, view) {
  const shown = detail.items;
  const query = { show: view.query.show ?? "worse", slice: view.query.slice ?? "", cause: view.query.cause ?? "" };
  const numbers = { ...shown.changes, different: shown.different, all: Object.values(shown.changes).reduce((sum, n) => sum + n, 0) };
  const some = ([name, n]) => [name, `${name} (${count(n)})`];
  return panel("Items, the largest losses first", { "data-key": "items", id: "items" },
    filters([{ name: "show", label: "Show", kind: "select", options: SHOWS.map(([key, words]) => [key, `${words} (${count(numbers[key] ?? 0)})`]) },
      { name: "slice", label: "Slice", kind: "select", options: [["", "every slice"], ...Object.entries(shown.worse_by_slice).map(some)] },
      { name: "cause", label: "Cause", kind: "select", options: [["", "every cause"], ...shown.causes.map(some)] }],
    { ...view, query: { ...view.query, ...query }, go: (given) => view.go({ ...given, evaluation: detail.evaluation_id }) }),
    el("p", { class: "small soft" }, `${count(shown.matching)} items. `,
      el("label", {}, el("input", { type: "checkbox", id: "only-changes", checked: onlyChanges, onchange: (event) => setOnlyChanges(event.currentTarget.checked) }), " only what changed"),
      " · ", el("kbd", {}, "j"), " ", el("kbd", {}, "k"), " next and before, ", el("kbd", {}, "d"), " only what changed"),
    el("div", { class: onlyChanges ? "items only-changes" : "items" }, shown.items.map((one) => item(one, view))),
    shown.items.length ? null : el("p", { class: "soft" }, "No item is left by these filters."),
    el("p", { class: "pages" }, view.query.after ? el("a", { href: view.with({ after: "" }) }, "First page") : null,
      shown.next_after === null ? null : el("a", { href: view.with({ after: shown.next_after }), rel: "next" }, "Next page")));
}

/** The keys of a screen with items. */
export const keysOf = () => ({
  d: { words: "only what changed", press: () => setOnlyChanges(!onlyChanges) },
});
