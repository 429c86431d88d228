// The bill today against holding a model and against the proven mixture; what is not known, and how to know it.

import { el } from "../pieces/dom.js";
import { count, percent, sentence, usd } from "../pieces/format.js";
import { address, command, filters, from, note, panel, pill, table, tiles } from "../pieces/parts.js";

const ADVICE = { leave: ["leave", "good"], stay: ["stay", "warn"], undecided: ["undecided", ""] };
const range = (one) => (Number(one.low) === Number(one.high) ? usd(one.low) : `${usd(one.low)} to ${usd(one.high)}`);

const meets = (requests) => (Number.isFinite(Number(requests)) ? count(Number(Number(requests).toPrecision(2))) : "no number of");

/** Low and high ends of some amounts on one axis from nothing. */
function spans(rows) {
  const most = Math.max(...rows.map((row) => Number(row.range.high)), 1);
  const place = (value) => `${(100 * Math.max(0, Number(value))) / most}%`;
  return el("ul", { class: "frequencies" }, rows.map((row) => el("li", {}, el("span", {}, row.name),
    el("i", { role: "img", "aria-label": `${row.name}: ${range(row.range)}`, class: row.class, style: { width: place(row.range.high) } }, el("u", { style: { width: Number(row.range.high) ? `${(100 * Number(row.range.low)) / Number(row.range.high)}%` : "0%" } })), el("b", {}, range(row.range)))));
}

function weighed(found) {
  const { bill, replacement, self_host: held, traffic, with_fallback: both } = found;
  const rows = [{ name: `${bill.model}, as today`, range: bill.usd_per_month, class: "incumbent" }, replacement ? { name: `${replacement.model}, in its place`, range: replacement.usd_per_month, class: "incumbent" } : null,
    { name: `${held.model}, held`, range: held.usd_per_month, class: "candidate" }, both ? { name: `held, with ${(replacement ?? bill).model} as fallback`, range: both, class: "candidate" } : null].filter(Boolean);
  const [words, mark] = ADVICE[found.advice];
  return [tiles([{ label: "On cost alone", value: words, mark }, { label: "The bill today", value: range(bill.usd_per_month), note: found.ending ? `a month, until ${found.ending.shutdown}` : "a month" }, { label: "Holding it", value: range(held.usd_per_month), note: `a month, ${held.machine}` },
    { label: "They meet at", value: meets(found.break_even_requests_per_month.low), note: `to ${meets(found.break_even_requests_per_month.high)} requests a month; now ${count(Math.round(traffic.requests_per_month))}` }]),
  el("p", { class: "lead" }, found.sentence),
  panel("A month", { "data-key": "month" }, spans(rows), el("p", { class: "small soft" }, "Dark: the low end of what is plausible; light: the high end."), el("ul", {}, found.reasons.map((text) => el("li", {}, text)))),
  el("div", { class: "columns" }, panel("What it rests on", { "data-key": "basis" }, el("ul", { class: "small" }, [bill.basis, ...bill.notes, held.basis, ...held.notes, traffic.how].map((text) => el("li", {}, text))),
    bill.prices_of ? el("p", { class: "small soft" }, `Price list of ${bill.prices_of}.`) : null),
  panel("What would change it", { "data-key": "sensitivity" }, table([{ head: "if it were", cell: ([what]) => what }, { head: "then", cell: ([, advice]) => pill(...ADVICE[advice]) }], found.sensitivity))),
  found.hosted_open.length ? panel("The same model, hosted by others", { "data-key": "hosted" }, table([{ head: "who", cell: ([who]) => who }, { head: "a month", number: true, cell: ([, amount]) => usd(amount) }], found.hosted_open)) : null];
}

export function draw(record, view) {
  const fields = [{ name: "model", label: "Model", placeholder: "of the catalog" }, { name: "machine", label: "On", placeholder: "this machine" }, { name: "usd_per_hour", label: "Dollars an hour", kind: "number", placeholder: "looked up" },
    { name: "owned", label: "Machine", kind: "select", options: [["", "rented"], ["true", "mine already"]] }];
  const unknown = record.unknown.map((one) => note("warn", `Not known: ${one.what}. ${sentence(one.hint)}`, el("br"), command(one.command)));
  return [filters(fields, view), unknown, record.weighed ? weighed(record.weighed) : record.rented ? el("p", { class: "lead" }, record.rented) : null,
    record.candidates.length ? panel("Candidates, 1,000 requests each", { "data-key": "candidates" }, table([{ head: "candidate", cell: (one) => one.label }, { head: "dollars", number: true, cell: (one) => (one.cost.usd_per_1000 === null ? "not known" : from(one.report_id, usd(one.cost.usd_per_1000))) },
      { head: "how it is known", cell: (one) => [one.cost.basis.replaceAll("_", " "), ": ", one.cost.why] }], record.candidates, { cards: true })) : null,
    el("p", { class: "small" }, el("a", { href: address("models") }, "Other models and machines")), record.unknown.length ? null : command(record.command)];
}
