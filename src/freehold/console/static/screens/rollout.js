// Each route: who answers, the rollout's steps, its tests over time, and the buttons that move it.

import { el } from "../pieces/dom.js";
import { bar, figures, stacked } from "../pieces/charts.js";
import { clock, count, moment, ms, number, percent, seconds } from "../pieces/format.js";
import { command, empty, filters, fold, note, panel, pill, table, windowField } from "../pieces/parts.js";

const STATES = { incumbent: ["incumbent only", ""], shadow: ["mirroring", ""], canary: ["canary", "warn"], promoted: ["promoted", "good"],
  rolled_back: ["rolled back", "bad"], paused: ["paused", ""] };
const ASKS = {
  "rollout.advance": { title: "Go one step further?", text: "The next larger share of users is answered by the candidate.", yes: "Advance" },
  "rollout.pause": { title: "Pause?", text: "The incumbent answers everyone for now. What was learned is kept.", yes: "Pause" },
  "rollout.promote": { title: "Promote?", text: "The candidate answers everyone.", yes: "Promote" },
  "rollout.rollback": { title: "Roll back?", text: "The incumbent answers everyone again, within a second. The rollout ends.", yes: "Roll back", danger: true },
};
const PARTS = [["incumbent", "incumbent"], ["candidate", "candidate"]];

function sentence(view) {
  const route = view.route, who = route.candidate ? (route.candidate.model ?? route.candidate.endpoint) : null;
  const mirrored = route.shadow_share > 0 ? ` ${percent(route.shadow_share)} of requests are also put to ${who} without anyone waiting.` : "";
  switch (route.state) {
    case "shadow": return `The incumbent answers everyone.${mirrored}`;
    case "canary": return `${who} answers ${percent(route.canary_share)} of users, the incumbent the others.${mirrored}`;
    case "promoted": return `${who} answers everyone.`;
    case "rolled_back": return `The incumbent answers everyone again.${view.status?.rollout.why ? ` Why: ${view.status.rollout.why}.` : ""}`;
    default: return "The incumbent answers everyone.";
  }
}

function split(route) {
  const share = route.state === "promoted" ? 1 : route.state === "canary" ? route.canary_share : 0;
  return bar(`candidate ${percent(share)}, incumbent ${percent(1 - share)}`,
    [{ class: "candidate", value: share }, { class: "incumbent", value: 1 - share }], 1);
}

function traffic(view) {
  const total = view.series.reduce((sum, b) => sum + b.incumbent + b.candidate, 0);
  const rows = view.series.map((b) => ({ x: b.at, parts: [b.incumbent, b.candidate], under: b.errors }));
  return [stacked({ label: `${count(total)} requests over time, by who answered`, rows, parts: PARTS, xWords: clock }),
    figures(`traffic-${view.route.name}`, [{ head: "from", cell: (b) => clock(b.at) }, { head: "incumbent", number: true, cell: (b) => count(b.incumbent) },
      { head: "candidate", number: true, cell: (b) => count(b.candidate) }, { head: "mirrored", number: true, cell: (b) => count(b.mirrored) },
      { head: "errors", number: true, cell: (b) => count(b.errors) }], view.series.filter((b) => b.incumbent + b.candidate + b.mirrored))];
}

const answerers = (view) => table([
  { head: "who answered", cell: ([name]) => name }, { head: "requests", number: true, cell: ([, arm]) => count(arm.requests) },
  { head: "errors", number: true, cell: ([, arm]) => count(arm.errors) }, { head: "stood in for", number: true, cell: ([, arm]) => count(arm.fallbacks) },
  { head: "half under", number: true, cell: ([, arm]) => ms(arm.p50_ms) }, { head: "95% under", number: true, cell: ([, arm]) => ms(arm.p95_ms) }],
[["incumbent", view.incumbent], ["candidate", view.candidate], ["candidate, mirrored", view.mirrored]], { caption: "Who answered in this window", cards: true });

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
    { head: "toward rollback", cell: (m) => bar(`${percent(way(m))} of the way to an automatic rollback`, [{ class: m.rollback ? "error" : "candidate", value: way(m) }], 1) },
    { head: "users", number: true, cell: (m) => count(m.units) }, { head: "estimate", number: true, cell: (m) => number(m.estimate) },
    { head: "safe to go on", cell: (m) => (m.promote == null ? "no such test" : m.promote ? "yes" : "not yet shown") }], look.metrics, { caption: "Tests of this rollout", cards: true });
}

function buttons(shown, view) {
  if (!view.can("rollout.rollback")) return null;
  const name = shown.route.name;
  const button = (action, blocked = "", mark = "") => el("button", { type: "button", "data-key": action, class: mark, disabled: blocked !== "", title: blocked,
    onclick: () => view.ask({ ...ASKS[action], text: `${name}: ${ASKS[action].text}` }, action, { route: name }) }, ASKS[action].yes);
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

function section(shown, view) {
  const route = shown.route, rollout = shown.status?.rollout;
  const [words, mark] = STATES[rollout?.state === "paused" ? "paused" : route.state] ?? [route.state, ""];
  return el("section", { class: "panel route", "data-key": `route-${route.name}` },
    el("div", { class: "title" }, el("h2", {}, route.name), pill(words, mark)),
    el("p", { class: "soft" }, `Requests for ${route.model}. ${sentence(shown)}`), split(route), buttons(shown, view), traffic(shown),
    shown.shortened ? el("p", { class: "small soft" }, "Only the newest requests are drawn.") : null, answerers(shown),
    rollout ? [el("h3", {}, `Rollout ${rollout.number}`), ladder(rollout), tests(shown.status.look),
      el("p", { class: "small soft" }, `A user counts once, ${seconds(rollout.window_s)} after the first request.`)]
      : el("p", { class: "small soft" }, "No rollout yet. ", command("freehold rollout start")),
    history(shown));
}

export function draw(record, view) {
  if (!record.routes.length) return empty("There is no route yet", "A rollout begins by mirroring: the candidate gets a copy of the traffic, and no customer waits for it.", "freehold rollout start");
  const besides = record.others.length ? panel("Besides the routes", { "data-key": "besides" },
    el("p", { class: "soft" }, "Since the gateway started, by kind of path. What is refused, an application goes without."),
    table([{ head: "path", cell: (o) => o.path }, { head: "passed on", number: true, cell: (o) => count(o.passed_on) }, { head: "refused", number: true, cell: (o) => count(o.refused) }], record.others)) : null;
  return [filters([windowField], view), record.verdict ? note("", `The last verdict on ${record.verdict.candidate}: ${record.verdict.outcome}.`) : null,
    record.routes.map((one) => section(one, view)), besides];
}
