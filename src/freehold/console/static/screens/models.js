// The catalog for this project: ruling, fit, speed, cost; why each is left out; on this machine or another.

import { el } from "../pieces/dom.js";
import { bar, legend } from "../pieces/charts.js";
import { count, gib, percent, seconds, sentence, usd } from "../pieces/format.js";
import { command, filters, fold, from, link, note, panel, pill, table, tiles } from "../pieces/parts.js";

const MARKS = { shortlisted: "good", unclear: "warn", excluded: "bad" };
const RULINGS = { allowed: ["allowed", "good"], allowed_with_obligations: ["allowed, with duties", "good"], not_allowed: ["not allowed", "bad"],
  needs_separate_license: ["needs a licence of its own", "bad"], unclear: ["unclear", "warn"] };
const PARTS = ["s0", "s1", "s2", "s3", "s4", "s5"];

const billions = (n) => (n >= 9.5e8 ? `${Number((n / 1e9).toFixed(1))}B` : `${Math.round(n / 1e6)}M`);
const range = ([low, high], words = "") => `${Number(low.toPrecision(2))} to ${Number(high.toPrecision(2))}${words}`;

/** The memory of a model on a machine, part by part. */
export function memory(fit) {
  const whole = Math.max(fit.available_bytes, fit.total_bytes);
  const parts = fit.parts.map((part, at) => ({ name: part.name, value: part.bytes, class: PARTS[at % 6] }));
  return [el("p", {}, pill(fit.fits ? "fits" : "does not fit", fit.fits ? "good" : "bad"), ` ${gib(fit.total_bytes)} of ${gib(fit.available_bytes)} on ${fit.machine}, as ${fit.quantization}, ${count(fit.workload.context_tokens)} tokens of context, ${count(fit.workload.concurrency)} at once.`),
    bar(`${gib(fit.total_bytes)} of ${gib(fit.available_bytes)}`, parts, whole), legend(parts.map((part) => [part.class, `${part.name} ${gib(part.value)}`])),
    el("ul", { class: "small" }, [...fit.reasons, ...fit.ways_out].map((text) => el("li", {}, text))),
    table([{ head: "part", cell: (part) => part.name }, { head: "memory", number: true, cell: (part) => gib(part.bytes) }, { head: "from", cell: (part) => part.basis }], fit.parts, { caption: "Memory, part by part", cards: true }),
    fit.largest_context_tokens ? el("p", { class: "small soft" }, `At most ${count(fit.largest_context_tokens)} tokens of context fit.`) : null];
}

function rows(record, view) {
  const idOf = (row, kind) => row.made_from.find((one) => one.startsWith(`${kind}:`))?.split(":")[1];
  const about = (row) => [el("div", {}, row.model), el("div", { class: "small" }, pill(row.outcome, MARKS[row.outcome]), row.rejected ? [" ", pill("rejected here", "bad")] : null, ` ${billions(row.parameters)}`)];
  return el("div", { class: "models" }, table([
    { head: "model", cell: about },
    { head: "ruling", cell: (row) => link(RULINGS[row.ruling][0], "license", { model: row.model }, { class: RULINGS[row.ruling][1] }) },
    { head: "memory", number: true, cell: (row) => (row.total_bytes === null ? "–" : gib(row.total_bytes)) },
    { head: "tokens/s", number: true, cell: (row) => (row.speed ? `${range(row.speed.decode_tokens_per_second)}${row.speed.how === "measured" ? " *" : ""}` : "–") },
    { head: "a request", number: true, cell: (row) => (row.seconds_per_request === null ? "–" : `${row.seconds_per_request < 10 ? `${row.seconds_per_request.toFixed(1)} s` : seconds(row.seconds_per_request)} +`) },
    { head: "a month", number: true, cell: (row) => (row.usd_per_month ? [el("div", {}, usd(row.usd_per_month[0])), el("div", { class: "small soft" }, `to ${usd(row.usd_per_month[1])}`)] : "–") },
    { head: "measured", number: true, cell: (row) => (row.measured_score === null ? "–" : from(idOf(row, "comparison"), percent(row.measured_score))) },
    { head: "for and against", cell: (row) => el("ul", { class: "plain small" }, [row.why, ...row.reasons].filter(Boolean).map((text) => el("li", {}, text))) }], record.rows,
  { caption: `Ranked by ${record.ranked_by}`, key: (row) => row.model, cards: true, href: (row) => view.with({ model: row.model, after: "" }), empty: "No model is left by these filters.",
    next: record.next_after === null ? null : view.with({ after: record.next_after }), first: view.query.after ? view.with({ after: "" }) : null }));
}

export function draw(record, view) {
  const counts = record.counts;
  return [filters([{ name: "machine", label: "What if on", placeholder: "2x L4, RTX 4090, g5.xlarge" }, { name: "find", label: "Model", kind: "search", placeholder: "part of a name" },
    { name: "show", label: "Show", kind: "select", options: [["all", "all"], ["shortlisted", "shortlisted"], ["unclear", "unclear"], ["excluded", "left out"]] }], { ...view, query: { ...view.query, show: view.query.show ?? "all" } }),
  record.problem ? note("bad", record.problem) : null,
  tiles([{ label: "Machine", value: record.machine, note: record.what_if ? "what if; this machine is another one" : "this one" }, { label: "Left", value: count(counts.shortlisted ?? 0), mark: "good", note: "licence, memory and needs allow them" },
    { label: "Unclear", value: count(counts.unclear ?? 0), mark: "warn" }, { label: "Left out", value: count(counts.excluded ?? 0), mark: "bad", note: "each with its reason" },
    { label: "Today's bill", value: record.usd_per_month_now === null ? "not known" : `${usd(record.usd_per_month_now)} a month`, href: "#/cost" }]),
  record.fit ? panel(`Memory of ${record.fit.model}`, { "data-key": "fit" }, memory(record.fit), el("div", { class: "buttons" }, link("Its licence", "license", { model: record.chosen }), link("What it would cost", "cost", { model: record.chosen, machine: record.what_if ?? "" }),
    command(`freehold fit ${record.chosen}${record.what_if ? ` --machine "${record.what_if}"` : ""}`))) : null,
  record.tried.length ? panel("Tried here", { "data-key": "tried" }, table([{ head: "candidate", cell: (one) => from(one.report_id, one.label) }, { head: "method", cell: (one) => record.methods[one.method] ?? one.method },
    { head: "what became of it", cell: (one) => one.state }, { head: "", cell: (one) => link("licence", "license", { model: one.model }) }], record.tried, { cards: true })) : null,
  panel(`Models: ${count(record.matching)}`, { "data-key": "rows" }, rows(record, view), el("p", { class: "small soft" }, "* measured here; other speeds are estimates."),
    record.money ? note("", sentence(record.money)) : null, fold("assumptions", "What this assumes", el("ul", { class: "small" }, record.assumptions.map((text) => el("li", {}, text)))), command(record.command))];
}
