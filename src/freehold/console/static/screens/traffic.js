// Traffic as it comes: how much, who answered, and a search over all that was captured.

import { el } from "../pieces/dom.js";
import { figures, stacked } from "../pieces/charts.js";
import { clock, count, moment, ms, percent } from "../pieces/format.js";
import { address, empty, filters, note, pill, table, tiles, WINDOWS } from "../pieces/parts.js";

const PARTS = [["incumbent", "incumbent"], ["candidate", "candidate"]];
const STATUSES = [["", "any"], ["2xx", "2xx"], ["4xx", "4xx"], ["5xx", "5xx"], ["error", "error or stood in for"]];

const fields = (record, view) => [
  view.may("content") && { name: "text", label: "Words in request or answer", kind: "search", placeholder: "refund \"late order\" ship*" },
  { name: "window_s", label: "Last", kind: "select", options: [...WINDOWS, ["0", "all there is"]], value: "900" },
  { name: "route", label: "Route", kind: "select", options: [["", "any"], ...record.routes.map((name) => [name, name])] },
  { name: "arm", label: "Sent to", kind: "select", options: [["", "either"], ["incumbent", "incumbent"], ["candidate", "candidate"]] },
  { name: "status", label: "Status", kind: "select", options: STATUSES },
  { name: "slower_than_ms", label: "Slower than, ms", kind: "number" },
  { name: "user", label: "User" }, { name: "api_key", label: "Key" },
  ...["model", "upstream_id", "conversation_id"].filter((name) => view.query[name]).map((name) => ({ name, label: name.replace("_id", "").replace("upstream", "upstream's id") })),
].filter(Boolean);

function chart(traffic) {
  const rows = traffic.buckets.map((b) => ({ x: b.at, parts: [b.incumbent, b.candidate], under: b.errors }));
  const total = traffic.incumbent.requests + traffic.candidate.requests;
  const when = traffic.bucket_s * traffic.buckets.length > 90_000 ? moment : clock;
  return [stacked({ label: `${count(total)} requests over time, by who they were sent to`, rows, parts: PARTS, xWords: when }),
    figures("traffic", [{ head: "from", cell: (b) => when(b.at) }, { head: "incumbent", number: true, cell: (b) => count(b.incumbent) },
      { head: "candidate", number: true, cell: (b) => count(b.candidate) }, { head: "mirrored", number: true, cell: (b) => count(b.mirrored) },
      { head: "errors", number: true, cell: (b) => count(b.errors) }], traffic.buckets.filter((b) => b.incumbent + b.candidate + b.mirrored))];
}

function numbers(traffic) {
  const { incumbent, candidate, mirrored } = traffic, total = incumbent.requests + candidate.requests, errors = incumbent.errors + candidate.errors;
  return tiles([{ label: "requests", value: count(total), note: `${count(mirrored.requests)} mirrored as well` },
    { label: "errors", value: count(errors), note: total ? percent(errors / total) : null, mark: errors ? "bad" : "good" },
    { label: "candidate answers", value: total ? percent((candidate.requests - candidate.fallbacks) / total) : "–", note: candidate.fallbacks ? `${count(candidate.fallbacks)} stood in for by the incumbent` : "of all requests" },
    { label: "incumbent, 95% under", value: ms(incumbent.p95_ms), note: `half under ${ms(incumbent.p50_ms)}` },
    { label: "candidate, 95% under", value: ms((candidate.requests ? candidate : mirrored).p95_ms), note: candidate.requests ? `half under ${ms(candidate.p50_ms)}` : "mirrored" }]);
}

const status = (trace) => pill(`${trace.status}${trace.completeness === "complete" ? "" : ` ${trace.completeness.replace("_", " ")}`}`, trace.error ? "bad" : "good");

function found(record, view) {
  const { traces, next, cut } = record.page;
  const columns = [{ head: "when", cell: (t) => (Number(view.query.window_s ?? 900) > 86_400 || view.query.window_s === "0" ? moment(t.at).replace(" UTC", "") : clock(t.at)) }, { head: "answered by", cell: (t) => [t.parent_id ? "candidate, mirrored" : t.fallback ? t.endpoint : t.arm, t.fallback ? ` (stood in: ${t.fallback})` : ""] },
    { head: "model", cell: (t) => t.model }, { head: "status", cell: status }, { head: "time", number: true, cell: (t) => ms(t.total_ms) },
    { head: "tokens", number: true, cell: (t) => `${count(t.prompt_tokens)} / ${count(t.completion_tokens)}` }, { head: "user", cell: (t) => t.user ?? "–" }];
  const on = cut && el("p", { class: "note warn", "data-key": "cut" }, `Beginnings of one letter are compared request by request, for a tenth of a second a page: ${count(traces.length)} found so far. `,
    el("a", { href: view.with({ after: next }), rel: "next" }, "Search on"));
  return [on || null, table(columns, traces, { caption: "Requests, newest first (UTC)", key: (t) => t.id, cards: true, empty: cut ? "None of the requests that were looked at meets all of it." : "Nothing in this window meets all of it. Look further back, or leave a filter out.",
    href: view.may("content") ? (t) => address("trace", { id: t.id }) : null, next: next === null ? null : view.with({ after: next }), first: view.query.after ? view.with({ after: null }) : null })];
}

export function draw(record, view) {
  if (!record.has_traces) return empty("No traffic yet", "Point your application at the gateway: one address changes, and each request is kept as a trace, after redaction.", "freehold up --capture patterns");
  return [filters(fields(record, view), view),
    numbers(record.traffic), el("div", { class: "panel" }, chart(record.traffic)), found(record, view)];
}
