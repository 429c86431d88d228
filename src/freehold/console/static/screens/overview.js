// Where the project is, what to do next, and how it goes now.

import { el } from "../pieces/dom.js";
import { figures, stacked } from "../pieces/charts.js";
import { clock, count, day, moment, ms, percent, usd } from "../pieces/format.js";
import { askRollback, PARTS, STATES } from "../pieces/routes.js";
import { address, command, filters, fold, from, link, note, panel, pill, table, tiles, WINDOWS } from "../pieces/parts.js";

const STEPS = { done: ["done", "good"], now: ["now", "warn"], later: ["later", ""], stale: ["stale", "bad"], failed: ["stopped", "bad"] };
const SCREEN_OF = [[/^freehold (rollout|routes)/, "rollout"], [/^freehold up/, "serving"], [/^freehold (migrate|evaluate|compare|freeze|report)/, "proof"], [/^freehold (dataset|import|tasks)/, "data"],
  [/^freehold (assess|fit|catalog|models)/, "models"], [/^freehold train/, "training"], [/^freehold cost/, "cost"], [/^freehold license/, "license"], [/^freehold traces/, "traffic"], [/^freehold watch/, "rollout"]];
const STEP_BUTTONS = { "freehold rollout advance": ["rollout.advance", "Advance"], "freehold rollout promote": ["rollout.promote", "Promote"] };
const WINDOW = { name: "window_s", label: "Traffic of the last", kind: "select", options: WINDOWS, value: "86400" };

/** The next action as a button: the step itself where a button may do it, else the way to the screen it belongs to. */
function button(record, view) {
  const next = record.journey.next, live = record.routes.find((route) => route.can_go_back);
  const [action, words] = STEP_BUTTONS[next.command] ?? [];
  if (action && live && view.can(action)) {
    return el("button", { type: "button", class: "strong", "data-key": "next", onclick: () => view.ask({ title: `${words}?`, text: `${live.name}: ${next.sentence}.`, yes: words }, action, { route: live.name }) }, words);
  }
  const screen = SCREEN_OF.find(([pattern]) => pattern.test(next.command))?.[1];
  return screen && view.has(screen) ? el("a", { class: "button strong", href: address(screen) }, `Open ${view.has(screen)}`) : null;
}

const nextStep = (record, view) => panel("What next", { class: "panel next", "data-key": "next-panel" },
  el("p", { class: "lead" }, `${record.journey.sentence} `, el("b", {}, `${record.journey.next.sentence}.`)),
  record.journey.next.why ? el("p", { class: "soft" }, `Because ${record.journey.next.why}.`) : null,
  el("div", { class: "buttons" }, button(record, view), command(record.journey.next.command)),
  record.journey.next.others.length ? fold("others", "Other ways on", el("ul", {}, record.journey.next.others.map((way) => el("li", {}, `${way.sentence}: `, el("code", {}, way.command))))) : null);

const journey = (record) => panel("The journey", { "data-key": "journey" }, el("ol", { class: "steps" }, record.journey.steps.map((step) =>
  el("li", { class: step.state, "data-key": step.name, "aria-current": step.state === "now" ? "step" : null }, el("span", { class: "step" }, pill(...STEPS[step.state])),
    el("div", {}, el("b", {}, step.title), el("span", { class: "soft" }, " · ", from(step.record_id, step.detail), step.at ? `, ${day(step.at)}` : "")),
    el("code", { class: "small" }, step.command)))));

function figuresOf(record, view) {
  const { incumbent, candidate, mirrored } = record.traffic, total = incumbent.requests + candidate.requests, errors = incumbent.errors + candidate.errors;
  const home = candidate.requests - candidate.fallbacks, saved = record.savings, left = record.journey.days_left;
  return tiles([
    record.journey.incumbent ? { label: `until ${record.journey.incumbent} retires`, value: left === null ? "no date known" : left < 0 ? `${count(-left)} days past` : `${count(left)} days`,
      note: record.journey.retires ? day(record.journey.retires) : "freehold retirements", mark: left === null ? "" : left < 30 ? "bad" : left < 120 ? "warn" : "good" } : null,
    { label: "requests", value: count(total), note: `${count(mirrored.requests)} mirrored as well`, href: view.has("traffic") ? address("traffic", { window_s: record.window_s }) : null },
    { label: "errors", value: count(errors), note: total ? `${percent(errors / total)} of all` : "no traffic", mark: errors ? "bad" : total ? "good" : "", href: errors && view.has("traffic") ? address("traffic", { window_s: record.window_s, status: "error" }) : null },
    { label: "95% of answers under", value: ms((candidate.requests > incumbent.requests ? candidate : incumbent).p95_ms), note: candidate.requests ? `candidate ${ms(candidate.p95_ms)}, incumbent ${ms(incumbent.p95_ms)}` : "incumbent" },
    { label: "share at home", value: total ? percent(home / total) : "–", note: candidate.fallbacks ? `${count(candidate.fallbacks)} stood in for` : `${count(home)} requests` },
    { label: "saved", value: saved ? (saved.usd === null ? "not known" : usd(saved.usd)) : usd(0), note: saved ? saved.why || `${count(saved.requests)} answers, ${saved.basis}` : "nothing answered at home yet", href: view.has("cost") ? address("cost") : null },
    record.verdict ? { label: "verdict", value: record.verdict.outcome, note: record.verdict.candidate, mark: { promote: "good", hold: "warn", reject: "bad" }[record.verdict.outcome], href: view.has("proof") ? address("proof") : null, record: record.verdict.id } : null]);
}

function evidence(record) {
  const stale = record.journey.evidence.filter((one) => one.stale.length);
  if (!stale.length) return null;
  return panel("What is stale", { "data-key": "stale" }, table([{ head: "evidence", cell: (e) => from(e.record_id, e.text) }, { head: "why", cell: (e) => e.stale.join("; ") },
    { head: "age", number: true, cell: (e) => (e.days === null ? "not kept" : `${count(Math.floor(e.days))} days`) }, { head: "renew", cell: (e) => el("code", {}, e.renew) }], stale, { cards: true }));
}

function routes(record, view) {
  if (!record.routes.length) return null;
  const columns = [{ head: "route", cell: (r) => [link(r.name, "rollout"), el("div", { class: "small soft" }, `for ${r.model}`)] }, { head: "state", cell: (r) => pill(...(STATES[r.state] ?? [r.state, ""])) }, { head: "candidate", number: true, cell: (r) => percent(r.share) },
    { head: "", cell: (r) => (r.can_go_back && view.can("rollout.rollback") ? el("button", { type: "button", class: "danger", onclick: () => askRollback(view, r.name) }, "Roll back") : "") }];
  return panel("Routes", { "data-key": "routes" }, table(columns, record.routes, { caption: "Who answers", key: (r) => r.name, cards: true }));
}

function reports(record, view) {
  const open = (name) => (event) => { event.preventDefault(); view.openReport(name); };
  return record.reports.length ? panel("Reports", { "data-key": "reports" }, el("ul", {}, record.reports.map((r) => el("li", {}, el("a", { href: "#", onclick: open(r.name) }, r.name), ` ${moment(r.at)}`)))) : null;
}

function traffic(record) {
  const rows = record.traffic.buckets.map((b) => ({ x: b.at, parts: [b.incumbent, b.candidate], under: b.errors })), when = record.window_s > 86_399 ? moment : clock;
  const total = record.traffic.incumbent.requests + record.traffic.candidate.requests;
  if (!total) return null;
  return panel("Traffic", { "data-key": "traffic" }, stacked({ label: `${count(total)} requests over time, by who they were sent to`, rows, parts: PARTS, xWords: when }),
    figures("overview", [{ head: "from", cell: (b) => when(b.at) }, { head: "incumbent", number: true, cell: (b) => count(b.incumbent) }, { head: "candidate", number: true, cell: (b) => count(b.candidate) }, { head: "errors", number: true, cell: (b) => count(b.errors) }],
      record.traffic.buckets.filter((b) => b.incumbent + b.candidate)));
}

const besides = (record) => (record.others.length ? panel("Besides the routes", { "data-key": "besides" },
  el("p", { class: "soft" }, "Since the gateway started, by kind of path. What is refused, an application goes without."),
  table([{ head: "path", cell: (o) => o.path }, { head: "passed on", number: true, cell: (o) => count(o.passed_on) }, { head: "refused", number: true, cell: (o) => count(o.refused) }], record.others)) : null);

export function draw(record, view) {
  return [record.journey.warnings.map((words) => note("warn", words)), nextStep(record, view), figuresOf(record, view), filters([WINDOW], view),
    el("div", { class: "columns" }, journey(record), routes(record, view)), evidence(record), traffic(record), reports(record, view), besides(record)];
}
