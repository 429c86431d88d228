// Datasets: what is in one, its samples.

import { el } from "../pieces/dom.js";
import { count, percent } from "../pieces/format.js";
import { address, empty, filters, fold, note, panel, pill, table, tiles } from "../pieces/parts.js";

const SPLITS = { train: "train", validation: "validation", held_out: "held out" };

const words = (text) => (text === null ? null : el("span", { class: "words" }, text.text, text.characters > text.text.length ? el("em", { class: "soft" }, ` … ${count(text.characters)} characters in all`) : null));

/** Bars of how often each name occurs, with its number. */
function frequencies(title, named) {
  const rows = Object.entries(named ?? {}), most = Math.max(1, ...rows.map(([, n]) => n));
  if (!rows.length) return null;
  return el("div", {}, el("h3", {}, title), el("ul", { class: "frequencies" }, rows.slice(0, 12).map(([name, n]) => el("li", {}, el("span", {}, name),
    el("i", { style: { width: `${(100 * n) / most}%` } }), el("b", {}, count(n))))), rows.length > 12 ? el("p", { class: "small soft" }, `and ${count(rows.length - 12)} more`) : null);
}

/** Median, 95th of a hundred and the longest of each split on one axis of powers of ten. */
function lengths(splits, field, title) {
  const rows = Object.entries(splits), most = Math.max(2, ...rows.map(([, one]) => one[field].longest));
  const place = (value) => `${(100 * Math.log10(Math.max(1, value))) / Math.log10(most)}%`;
  return el("div", {}, el("h3", {}, title), el("ul", { class: "frequencies spans" }, rows.map(([name, one]) => el("li", {}, el("span", {}, SPLITS[name]),
    el("i", { role: "img", "aria-label": `half under ${one[field].median}, 95% under ${one[field].p95}, longest ${one[field].longest} characters`, style: { width: place(one[field].p95) } }, el("u", { style: { width: `calc(${place(one[field].median)} * ${most > 1 ? 1 : 1})` } })),
    el("b", {}, `${count(one[field].median)} · ${count(one[field].p95)} · ${count(one[field].longest)}`)))), el("p", { class: "small soft" }, "characters: median · 95 of 100 under · longest"));
}

function profile(card) {
  const train = card.splits.train ?? Object.values(card.splits)[0];
  return panel("What is in it", { "data-key": "profile" }, el("div", { class: "columns" },
    lengths(card.splits, "question_characters", "Questions"), lengths(card.splits, "answer_characters", "Answers"),
    frequencies("Languages (train)", train.languages), frequencies(`Labels (train), ${count(train.different_answers)} different answers`, train.labels),
    frequencies("Turns (train)", train.turns)));
}

function cleaned(card) {
  const replaced = Object.entries(card.replaced), near = card.near_duplicates;
  return panel("What was done to it", { "data-key": "cleaned" }, el("div", { class: "columns" },
    el("div", {}, el("h3", {}, "Personal data found and replaced"), replaced.length ? table([{ head: "kind", cell: ([kind]) => kind }, { head: "found", number: true, cell: ([, one]) => count(one.found) },
      { head: "different", number: true, cell: ([, one]) => count(one.different) }, { head: "in samples", number: true, cell: ([, one]) => count(one.samples) }], replaced) : el("p", { class: "soft" }, card.personal_data === "off" ? "Not looked for: [curate] personal_data is off." : `None was found (${card.personal_data}).`)),
    el("div", {}, el("h3", {}, "Near repeats"), near === null ? el("p", { class: "soft" }, "Not searched for.") : table([{ head: "where", cell: ([where]) => where }, { head: "taken out", number: true, cell: ([, n]) => count(n) }],
      [...Object.entries(near.across), ...Object.entries(near.within), ["in held out, kept", near.in_held_out]])),
    el("div", {}, el("h3", {}, "Left out"), Object.keys(card.left_out).length ? table([{ head: "why", cell: ([why]) => why }, { head: "samples", number: true, cell: ([, n]) => count(n) }], Object.entries(card.left_out)) : el("p", { class: "soft" }, "Nothing."))),
  card.first_conflicts.length ? fold("conflicts", `Asked the same, answered differently: ${count(card.label_conflicts)}`, table([{ head: "asked", cell: (one) => one.question }, { head: "and", cell: (one) => one.other_question },
    { head: "answered", cell: (one) => one.gold }, { head: "and", cell: (one) => one.other_gold }, { head: "alike", number: true, cell: (one) => percent(one.similarity) }], card.first_conflicts, { cards: true })) : null,
  card.terms.length ? el("p", { class: "small soft" }, card.terms.join(" ")) : null);
}

const message = (one) => el("div", { class: one.learned ? "message learned" : "message" }, el("span", { class: "role" }, one.role, one.learned ? pill("learned", "good") : null), words(one.text));

function samples(detail, view) {
  const shown = detail.samples;
  if (!shown) return note("warn", detail.samples_missing);
  const options = detail.dataset.splits.map((split) => [split.name, `${SPLITS[split.name]} (${count(split.samples)})`]);
  const body = (one) => [one.messages.map(message), one.incumbent ? el("p", { class: "small soft" }, "The incumbent said: ", words(one.incumbent)) : null];
  return panel("Samples", { "data-key": "samples" }, filters([{ name: "split", label: "Split", kind: "select", options }], { ...view, query: { ...view.query, split: shown.split } }),
    shown.samples.map((one) => el("article", { class: "item", "data-row": true, tabindex: "-1", "data-key": one.id }, el("header", {}, one.gold ? pill("gold", "good") : pill("the incumbent's answer"),
      one.tools ? pill(`${count(one.tools)} tools`) : null, el("span", { class: "id small soft" }, one.id.slice(0, 12))), body(one))),
    shown.samples.length ? null : el("p", { class: "soft" }, "This split is empty."),
    el("p", { class: "small soft" }, "Green is what a model learns to write."),
    el("p", { class: "pages" }, view.query.after ? el("a", { href: view.with({ after: "" }) }, "First page") : null, shown.next_after === null ? null : el("a", { href: view.with({ after: shown.next_after }), rel: "next" }, "Next page")));
}

export function draw(record, view) {
  const detail = record.detail;
  if (!detail) return empty("There is no dataset yet", record.traces ? `${count(record.traces)} requests are recorded. A dataset splits them so that nothing held out is also taught.` : "It begins with recorded requests: a log, or live traffic through the gateway.", record.first_command);
  const sizes = Object.fromEntries(detail.dataset.splits.map((split) => [split.name, split]));
  return [record.datasets.length > 1 ? filters([{ name: "dataset", label: "Dataset", kind: "select", options: record.datasets.map((one) => [one.id, `${one.name} ${one.id.slice(0, 8)}`]) }],
    { ...view, query: { dataset: detail.dataset.id }, go: ({ dataset }) => view.go({ dataset }) }) : null,
  tiles([...["train", "validation", "held_out"].map((name) => sizes[name] && { label: SPLITS[name], value: count(sizes[name].samples), record: detail.dataset.id, note: `in ${count(sizes[name].groups)} groups` }),
    { label: "Targets", value: count(detail.dataset.targets_from.gold ?? 0), record: detail.dataset.id, note: `right answers you brought; ${count(detail.dataset.targets_from.incumbent ?? 0)} are the incumbent's answers` },
    { label: "Recorded requests", value: count(record.traces), href: address("traffic") }]),
  (detail.card?.warnings ?? []).map((text) => note("warn", text)),
  detail.card ? [profile(detail.card), cleaned(detail.card)] : note("warn", "This dataset has no card: freehold dataset build writes one."), samples(detail, view)];
}
