// Each route: who answers, the rollout's steps, its tests over time, and the buttons that move it.

import { el } from "../pieces/dom.js";
import { bar, figures, lines, stacked } from "../pieces/charts.js";
import { clock, count, moment, ms, number, percent, seconds } from "../pieces/format.js";
import { command, empty, filters, fold, from, link, note, pill, table, windowField } from "../pieces/parts.js";
import { askStep, PARTS, QUESTIONS, STATES } from "../pieces/routes.js";

function sentence(shown) {
  const route = shown.route, who = route.candidate ? (route.candidate.model ?? route.candidate.endpoint) : null;
  const mirrored = route.shadow_share > 0 ? ` ${percent(route.shadow_share)} of requests are also put to ${who} without anyone waiting.` : "";
  switch (route.state) {
    case "shadow": return `The incumbent answers everyone.${mirrored}`;
    case "canary": return `${who} answers ${percent(route.canary_share)} of users, the incumbent the others.${mirrored}`;
    case "promoted": return route.deferral ? `${who} answers what it is sure of, the incumbent the rest.` : `${who} answers everyone.`;
    case "rolled_back": return `The incumbent answers everyone again.${shown.status?.rollout.why ? ` Why: ${shown.status.rollout.why}.` : ""}`;
    default: return "The incumbent answers everyone.";
  }
}

function split(route) {
  const share = route.state === "promoted" ? 1 : route.state === "canary" ? route.canary_share : 0;
  return bar(`candidate ${percent(share)}, incumbent ${percent(1 - share)}`,
    [{ class: "candidate", value: share }, { class: "incumbent", value: 1 - share }], 1);
}

function traffic(shown) {
  const { buckets, incumbent, candidate, mirrored } = shown.traffic;
  const arms = [["incumbent", incumbent], ["candidate", candidate], ["candidate, mirrored", mirrored]];
  return [stacked({ label: `${count(incumbent.requests + candidate.requests)} requests over time, by who they were sent to`, xWords: clock, parts: PARTS,
    rows: buckets.map((b) => ({ x: b.at, parts: [b.incumbent, b.candidate], under: b.errors })) }),
  table([{ head: "sent to", cell: ([name]) => name }, { head: "requests", number: true, cell: ([, arm]) => count(arm.requests) },
    { head: "errors", number: true, cell: ([, arm]) => count(arm.errors) }, { head: "stood in for", number: true, cell: ([, arm]) => count(arm.fallbacks) },
    { head: "half under", number: true, cell: ([, arm]) => ms(arm.p50_ms) }, { head: "95% under", number: true, cell: ([, arm]) => ms(arm.p95_ms) }],
  arms, { caption: "Traffic of this window", cards: true })];
}

function ladder(rollout) {
  const steps = ["mirrored", ...rollout.stages.map(percent), "everyone"];
  const now = rollout.state === "promoted" ? steps.length - 1 : rollout.stage + 1;
  const back = rollout.state === "rolled_back";
  return el("ol", { class: "ladder" }, steps.map((words, at) => el("li", { class: at === now ? (back ? "back" : "now") : at < now && !back ? "done" : "",
    "aria-current": at === now ? "step" : false }, back && at === now ? `${words}: rolled back` : words)));
}

function tests(look) {
  const way = (m) => Math.min(1, Math.max(0, Math.log(Math.max(1, m.e_value)) / Math.log(m.acts_at)));
  return table([{ head: "test", cell: (m) => m.metric },
    { head: "toward rollback", cell: (m) => el("div", { class: "meter" }, bar(`${percent(way(m))} of the way to an automatic rollback`, [{ class: m.rollback ? "error" : "candidate", value: way(m) }], 1)) },
    { head: "users", number: true, cell: (m) => count(m.units) }, { head: "estimate", number: true, cell: (m) => number(m.estimate) },
    { head: "safe to go on", cell: (m) => (m.promote == null ? "no such test" : m.promote ? "yes" : "not yet shown") }], look.metrics, { caption: "Tests of this rollout, which hold however often one looks", cards: true });
}

/** The confidence sequence of the difference in quality, user by user. */
function overTime(shown) {
  const path = shown.path, margin = -shown.status.rollout.task.margin;
  if (path.length < 2) return el("p", { class: "soft small" }, "The quality test draws itself here once mirrored users were scored.");
  // The first users leave everything open; drawn whole, they would flatten what came later.
  const last = path.at(-1), later = path.slice(Math.floor(path.length / 8)), reach = 1.15 * Math.max(-2 * margin, ...later.flatMap((p) => [Math.abs(p.low), Math.abs(p.high)]));
  return [el("h3", {}, "Quality over time"),
    lines({ label: `difference in score after ${count(last.users)} users: ${number(last.mean)}, between ${number(last.low)} and ${number(last.high)}; margin ${number(margin)}`, range: [-Math.min(1, reach), Math.min(1, reach)],
      series: [{ name: "difference", points: path.map((p) => [p.users, p.mean]), band: path.map((p) => [p.users, p.low, p.high]) }], marks: [{ y: margin, words: `margin ${number(margin)}` }],
      xWords: (users) => `${count(Math.round(users))} ${Math.round(users) === 1 ? "user" : "users"}`, yWords: (value) => number(value, 2) }),
    el("p", { class: "small soft" }, `Candidate less incumbent: ${number(last.mean)}, with 95% between ${number(last.low)} and ${number(last.high)} at all times together.${shown.status.rollout.agreement.difference ? ` Without right answers, agreement with the incumbent counts, compared with the proof, where it was ${percent(1 - shown.status.rollout.agreement.difference)}.` : ""}`),
    figures(`path-${shown.route.name}`, [{ head: "users", number: true, cell: (p) => count(p.users) }, { head: "seen", cell: (p) => moment(p.at) }, { head: "low", number: true, cell: (p) => number(p.low) }, { head: "mean", number: true, cell: (p) => number(p.mean) }, { head: "high", number: true, cell: (p) => number(p.high) }], path.slice(-40))];
}

const alarms = (status) => [...status.look.metrics.filter((m) => m.rollback).map((m) => note("bad", `The test of ${m.metric} says: roll back.`)),
  ...status.troubles.map((one) => note("bad", `${one.why}, since ${moment(one.since)}`))];

function buttons(shown, view) {
  if (!view.can("rollout.rollback")) return null;
  const button = (action, blocked = "", mark = "") => el("button", { type: "button", "data-key": action, class: mark, disabled: blocked !== "", title: blocked,
    onclick: () => askStep(view, action, shown.route.name) }, QUESTIONS[action].yes);
  const rollout = shown.status?.rollout;
  const back = () => button("rollout.rollback", "", "danger");
  if (!rollout || rollout.state === "rolled_back") {
    // Moved by hand, without a rollout: the way back is the same.
    return ["shadow", "canary", "promoted"].includes(shown.route.state) ? el("div", { class: "buttons" }, back()) : null;
  }
  const over = rollout.state === "promoted", last = rollout.stage + 1 >= rollout.stages.length;
  // From a pause in mirroring it goes back to mirroring, which no test has to allow.
  const missing = rollout.paused_in === "shadow" ? [] : shown.status.missing;
  return [el("div", { class: "buttons" },
    over ? null : button(last ? "rollout.promote" : "rollout.advance", missing.join("; "), "strong"),
    over || rollout.state === "paused" ? null : button("rollout.pause"),
    back()),
  missing.length ? el("div", { class: "why" }, "Before the next step:", el("ul", {}, missing.map((words) => el("li", {}, words)))) : null];
}

const history = (shown) => fold(`history-${shown.route.name}`, "History", table([
  { head: "when", cell: (h) => moment(h.at) }, { head: "who", cell: (h) => h.who }, { head: "why", cell: (h) => h.why || "–" },
  { head: "state", cell: (h) => (h.route ? (STATES[h.route.state]?.[0] ?? h.route.state) : "removed") }], shown.history, { caption: "Changes of this route", cards: true }));

const points = (one) => (one?.low == null ? "–" : `${number(100 * one.difference, 1)} [${number(100 * one.low, 1)}, ${number(100 * one.high, 1)}]`);

/** What `freehold improve` has made, each beside what it was compared with. */
function generations(shown) {
  const serves = shown.generations.find((g) => g.state === "serves");
  const state = (g) => (g.state === "serves" && g !== serves ? "served" : g.state.replace("_", " "));
  return shown.generations.length < 2 ? null : [el("h3", {}, "Generations"), table([
  { head: "generation", number: true, cell: (g) => count(g.number) }, { head: "when", cell: (g) => moment(g.at) }, { head: "state", cell: state },
  { head: "answered here", number: true, cell: (g) => (g.share == null ? "–" : percent(g.share)) }, { head: "points to the incumbent", number: true, cell: points },
  { head: "to the one before", number: true, cell: (g) => points(g.earlier[0]) }, { head: "why", cell: (g) => [g.why, ...g.notes].filter(Boolean).join(". ") || "–" }],
shown.generations, { caption: "Generations of this route's model", cards: true })];
}

function section(shown, view) {
  const route = shown.route, rollout = shown.status?.rollout;
  const [words, mark] = STATES[rollout?.state === "paused" ? "paused" : route.state] ?? [route.state, ""];
  return el("section", { class: "panel route", "data-key": `route-${route.name}` },
    el("div", { class: "title" }, el("h2", {}, route.name), pill(words, mark)),
    shown.status ? alarms(shown.status) : null,
    el("p", { class: "soft" }, `Requests for ${route.model}. ${sentence(shown)}`), split(route), rollout ? ladder(rollout) : null, buttons(shown, view),
    rollout ? [el("h3", {}, from(rollout.verdict_id, `Rollout ${rollout.number}`)), tests(shown.status.look), overTime(shown),
      el("p", { class: "small soft" }, `A user counts once, ${seconds(rollout.window_s)} after the first request. ${count(shown.status.look.waiting)} users wait, ${count(shown.status.look.unscored)} could not be scored.`)]
      : el("p", { class: "small soft" }, "No rollout yet. ", command("freehold rollout start")),
    el("h3", {}, "Traffic"), view.has("traffic") ? el("p", { class: "small" }, link("All requests of this route", "traffic", { route: route.name, window_s: 86400 })) : null, traffic(shown), generations(shown), history(shown));
}

export function draw(record, view) {
  if (!record.routes.length) return empty("There is no route yet", "A rollout begins by mirroring: the candidate gets a copy of the traffic, and no customer waits for it.", "freehold rollout start");
  return [filters([windowField], view), record.verdict ? note("", "The last verdict on ", from(record.verdict.id, record.verdict.candidate), `: ${record.verdict.outcome}.`) : null,
    record.routes.map((one) => section(one, view))];
}
