// What an evaluation showed: intervals against the margin and the incumbent's own noise, mixtures, slices, and the items
// themselves, the largest losses first, with what differs between the two answers.

import { el, redraw } from "../pieces/dom.js";
import { figures, intervals, lines } from "../pieces/charts.js";
import { count, moment, percent, points } from "../pieces/format.js";
import { command, empty, filters, from, link, note, panel, pill, table, tiles } from "../pieces/parts.js";
import { itemList, keysOf } from "../pieces/items.js";

const MARKS = { promote: "good", hold: "warn", reject: "bad" };
const KINDS = { proof: "held out", mixture: "held out, with fallback", selection: "selection split" };
const pointsShort = (value) => points(value).replace(" points", "");

function chooser(record, view) {
  const options = record.evaluations.map((one) => [one.id, `${one.candidate}, ${one.verdict ?? "not compared"}, ${count(one.n)} items${one.at ? `, ${moment(one.at)}` : ""}`]);
  const chosen = { ...view, query: { evaluation: record.detail.evaluation_id } };
  return options.length > 1 ? filters([{ name: "evaluation", label: "Evaluation", kind: "select", options }],
    { ...chosen, go: ({ evaluation }) => view.go({ evaluation }) }) : null;
}

function verdict(detail, mixtures) {
  const k = detail.comparison, outcome = detail.verdict?.outcome ?? k?.verdict ?? null;
  const record = detail.verdict?.id ?? k?.id ?? detail.evaluation_id;
  const interval = k && `${percent(k.level)} interval ${pointsShort(k.ci_low)} to ${points(k.ci_high)}`;
  // What was proven is the mixture then: the candidate by itself only informs.
  const proven = mixtures.map((one) => one.mixture).find((one) => one.id === detail.verdict?.mixture_id && one.comparison), m = proven?.comparison;
  return tiles([
    { label: "Verdict", value: outcome ?? "not compared", record, mark: MARKS[outcome],
      note: proven ? `with deferral: ${detail.candidate} for ${percent(proven.share)} of requests, ${detail.incumbent} as fallback` : `${detail.candidate} against ${detail.incumbent}` },
    proven ? { label: "Difference, with deferral", value: points(m.difference), record: proven.id, note: `interval ${pointsShort(m.ci_low)} to ${points(m.ci_high)}` }
      : k && { label: "Difference", value: points(k.difference), record: k.id, note: interval },
    { label: "Margin", value: points(-detail.margin), record: detail.evaluation_id, note: "the largest drop that is accepted" },
    k && { label: "Items", value: count(k.n), record: k.id, note: k.n_groups ? `in ${count(k.n_groups)} groups` : `scored by ${detail.scorer}` },
    { label: proven ? "Candidate alone" : "Candidate", value: percent(detail.score), record: detail.evaluation_id,
      note: proven ? k && `${points(k.difference)}, ${interval}` : detail.score_low === null ? null : `${percent(detail.score_low)} to ${percent(detail.score_high)}` },
    k && k.incumbent_mean !== null && { label: "Incumbent", value: percent(k.incumbent_mean), record: k.id },
  ]);
}

function why(detail) {
  const reasons = (detail.verdict?.reasons ?? []).filter((one) => one.effect);
  const notes = detail.comparison?.notes ?? [];
  return el("div", { class: "columns" },
    panel(detail.verdict?.outcome === "promote" ? "Why" : "Why, and what would change it", { "data-key": "ways" },
      el("ul", { class: "reasons" }, detail.reasons.map((text) => el("li", {}, pill(detail.comparison.verdict, MARKS[detail.comparison.verdict]), " ", from(detail.comparison.id, text))),
        reasons.map((one) => el("li", {}, pill(one.effect, MARKS[one.effect]), " ", from(one.record_id, one.text)))),
      el("h3", {}, "What would change it"),
      el("ul", { class: "ways" }, detail.ways_out.map((way) => el("li", {}, el("p", {}, way.sentence), command(way.command))))),
    notes.length ? panel("Notes of the comparison", { "data-key": "notes" }, el("ul", { class: "small" }, notes.map((text) => el("li", {}, text)))) : null);
}

function picture(record) {
  const rows = record.intervals;
  if (!rows.length) return null;
  const clone = record.detail.clone;
  const columns = [{ head: "candidate", cell: (row) => (row.evaluation_id ? link(row.label, "proof", { evaluation: row.evaluation_id }) : from(row.record_id, row.label)) }, { head: "measured on", cell: (row) => KINDS[row.kind] },
    { head: "low", number: true, cell: (row) => points(row.low) }, { head: "difference", number: true, cell: (row) => points(row.middle) },
    { head: "high", number: true, cell: (row) => points(row.high) }, { head: "items", number: true, cell: (row) => count(row.n) }, { head: "verdict", cell: (row) => row.verdict ?? "–" }];
  return panel("All candidates against the margin", { "data-key": "intervals" },
    intervals({ label: `Differences to the incumbent: ${rows.map((row) => `${row.label} ${points(row.middle)}, ${points(row.low)} to ${points(row.high)}`).join("; ")}`,
      rows: rows.map((row) => ({ name: row.label, low: row.low, estimate: row.middle, high: row.high, chosen: row.kind !== "selection" })),
      margin: -record.detail.margin, noise: clone?.high ?? null, format: pointsShort }),
    el("p", { class: "small soft" }, "Candidate minus incumbent, in points. Blue: measured on held-out items. Grey: the selection split, which chooses and proves nothing.",
      clone ? ` The band is the incumbent's own noise: two of its runs score differently on ${percent(clone.self_noise)} of items, so a perfect copy of it would land inside ${percent(clone.level)} of the time.` : " The incumbent's own noise was not measured."),
    clone ? null : command("freehold freeze --repeats 2"),
    figures("intervals", columns, rows));
}

/** All shares that were proven at once: which of them is taken is their owner's to say. */
function shareForQuality(one) {
  const proven = one.tested.filter((step) => step.verdict === "promote");
  if (proven.length < 2) return null;
  const told = (step) => [`${percent(step.share)} answered here: ${points(step.difference)} on all requests, ${pointsShort(step.low)} to ${points(step.high)}; ${points(step.here)} on what is answered here. `,
    command(`freehold defer plan --share ${(Math.ceil(step.share * 1000) / 1000).toFixed(3)}`)];
  const taken = proven.findLastIndex((step) => step.share <= (one.share ?? 1));
  const said = el("div", { role: "status" }, told(proven[Math.max(0, taken)]));
  return [el("label", {}, "Share for quality ", el("input", { type: "range", min: 0, max: proven.length - 1, value: Math.max(0, taken), "data-key": `share-${one.id}`,
    oninput: (event) => redraw(event.currentTarget.parentElement.nextElementSibling, told(proven[event.currentTarget.value])) })), said,
  el("p", { class: "small soft" }, one.alone ? "All of them are proven at once, and the candidate alone as well." : "All of them are proven at once.")];
}

function mixture({ mixture: one, sentence }) {
  const { points: shown, rest, whole, signal } = one.curves[0], k = one.comparison;
  const curve = { name: "with fallback", points: shown.map((p) => [p.share, p.difference]), band: shown.map((p) => [p.share, p.low, p.high]) };
  const lot = { name: "same share, at random", points: [[0, rest], [1, whole]] };
  return panel(`${one.label ?? one.candidate} with the incumbent as fallback, by ${signal}`, { "data-key": `mixture-${one.id}` },
    el("p", {}, k ? pill(k.verdict, MARKS[k.verdict]) : null, " ", from(one.id, sentence)),
    lines({ label: `Difference to the incumbent over the share answered here. ${sentence}`, series: [curve, lot],
      marks: [{ y: -one.margin, words: `worst you accept ${pointsShort(-one.margin)}` }], xWords: percent, yWords: pointsShort, zero: true }),
    shareForQuality(one),
    k ? el("p", { class: "small soft" }, `${k.verdict === "promote" ? "Proven" : "Measured"} on held-out items at a share of ${percent(one.share)}: ${points(k.difference)}, ${pointsShort(k.ci_low)} to ${points(k.ci_high)}.`) : null,
    figures(`mixture-${one.id}`, [{ head: "share here", number: true, cell: (p) => percent(p.share) }, { head: "difference", number: true, cell: (p) => points(p.difference) },
      { head: "low", number: true, cell: (p) => points(p.low) }, { head: "high", number: true, cell: (p) => points(p.high) }, { head: "at random", number: true, cell: (p) => points(rest + p.share * (whole - rest)) }], shown));
}

function slices(detail, view) {
  const parts = detail.comparison?.slices ?? [];
  const worse = detail.items?.worse_by_slice ?? {};
  if (!parts.length) return null;
  // j and k walk the items, so these rows are links only.
  const items = (part) => view.with({ evaluation: detail.evaluation_id, slice: part.name, cause: "", after: "", show: "worse" });
  return panel("Slices, the worst first", { "data-key": "slices" }, table([
    { head: "slice", cell: (part) => el("a", { href: items(part) }, part.name) }, { head: "items", number: true, cell: (part) => count(part.n) },
    { head: "difference", number: true, cell: (part) => from(detail.comparison.id, points(part.difference)) },
    { head: "interval", number: true, cell: (part) => (part.ci_low === null ? "–" : `${pointsShort(part.ci_low)} to ${pointsShort(part.ci_high)}`) },
    { head: "got worse", number: true, cell: (part) => el("a", { href: items(part) }, count(worse[part.name] ?? 0)) },
    { head: "", cell: (part) => (part.harmed ? pill("harmed", "bad") : part.note ?? "") }], parts,
  { caption: "Differences in the declared slices", key: (part) => part.name, cards: true }));
}

export function draw(record, view) {
  const detail = record.detail;
  if (!detail) return empty("Nothing was proven yet", "A candidate answers held-out questions, and each answer is scored next to the incumbent's.", record.first_command);
  return [chooser(record, view), verdict(detail, record.mixtures),
    picture(record), slices(detail, view), why(detail),
    record.mixtures.slice(0, 3).map(mixture),
    detail.items ? itemList(detail, view) : note("warn", detail.items_missing),
    panel("Label blind", { "data-key": "label" }, el("p", {}, "Say which of two answers is better without knowing whose is whose: what a judge is calibrated with."),
      el("div", { class: "buttons" }, view.can("label.pair") ? link("Label pairs", "label", { evaluation: detail.evaluation_id }, { class: "button" }) : null, command(detail.labels_command)))];
}

export const keys = keysOf;
