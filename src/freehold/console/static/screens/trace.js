// One request: what was asked, the answer and the other side's answer next to each other, when, why there, and feedback.

import { el } from "../pieces/dom.js";
import { count, ms, number, moment, percent, usd } from "../pieces/format.js";
import { tell } from "../pieces/dialogs.js";
import { command, empty, fold, link, note, panel, pill, tiles } from "../pieces/parts.js";

// Answers that were asked for on this page; the store keeps none of them.
const replays = new Map();
const SIDES = [["incumbent", "the incumbent"], ["candidate", "the candidate"]];
const THUMBS = { true: "liked", false: "not liked", up: "good", down: "bad" };

/** A text that may be only the beginning of one. */
function words(shown) {
  const more = shown.characters - shown.text.length;
  return el("div", {}, el("pre", { class: "words", tabindex: "0" }, shown.text || "(empty)"),
    more > 0 ? el("p", { class: "small soft" }, `The beginning of ${count(shown.characters)} characters.`) : null);
}

const facts = (rows) => el("dl", { class: "tree" }, rows.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) =>
  el("div", {}, el("dt", {}, name), el("dd", {}, value))));

function decision(deferral) {
  if (!deferral) return null;
  const sure = deferral.confidence === null ? "" : `, confidence ${number(deferral.confidence, 2)}`;
  return `${deferral.by} (${String(deferral.why).replaceAll("_", " ")}${sure})`;
}

function answer(one, title) {
  const failed = one.status >= 400 || one.completeness !== "complete";
  return panel(title, { "data-key": `answer-${one.trace_id}`, "data-arm": one.arm },
    el("p", {}, pill(`${one.status}${one.completeness === "complete" ? "" : ` ${one.completeness.replace("_", " ")}`}`, failed ? "bad" : "good"), " ",
      el("span", { class: "soft" }, one.model ?? one.endpoint ?? "")),
    one.content ? words(one.content) : el("p", { class: "soft" }, "No answer was kept."),
    facts([["first byte", one.ttft_ms === null ? null : ms(one.ttft_ms)], ["whole answer", ms(one.total_ms)], ["endpoint", one.endpoint],
      ["ended by", one.finish_reason], ["stood in, because", one.fallback], ["decided by the rule", decision(one.deferral)],
      ["tokens in", one.usage?.prompt_tokens ?? null], ["tokens out", one.usage?.completion_tokens ?? null]]));
}

function feedback(trace, view) {
  const said = trace.feedback, given = trace.gold || trace.desirable !== null || said;
  const give = () => view.ask({ title: "What is right?", text: "A right answer is used to judge and to train. It stands next to the trace.", yes: "Keep it", reason: false,
    fields: [{ name: "thumb", label: "This answer was", kind: "select", options: [["", "not judged"], ["up", "good"], ["down", "bad"]] },
      { name: "gold", label: "The right answer", kind: "lines", most: 10_000 }, { name: "comment", label: "Comment", kind: "lines", most: 2000 }] }, "trace.feedback", { id: trace.id });
  return panel("Feedback", { "data-key": "feedback" },
    given ? [facts([["this answer was", THUMBS[said?.thumb] ?? THUMBS[trace.desirable]], ["comment", said?.comment], ["said by", said?.key], ["at", said?.at ? moment(said.at) : null]]),
      trace.gold ? [el("h3", {}, "The right answer"), words(trace.gold)] : null]
      : el("p", { class: "soft" }, "Nothing was said about this answer yet."),
    view.can("trace.feedback") ? el("div", { class: "buttons" }, el("button", { type: "button", onclick: give }, "Say what is right")) : null);
}

const charged = (plan) => (plan.most_usd === null ? "It charges nothing by the token."
  : `It costs about ${usd(plan.about_usd)}, at most ${usd(plan.most_usd)}. Replays of the last 24 hours cost ${usd(plan.spent_usd)} of ${usd(plan.budget_usd)}.`);

/** What it costs is said before; the answer stands beside the others until the page is left. */
async function askAgain(id, side, words, view) {
  let plan;
  try {
    plan = await view.act("trace.replay_plan", { id, side });
  } catch (problem) {
    return tell("It is not asked again", el("p", {}, `${problem.message}.`), problem.hint ? el("p", { class: "soft" }, problem.hint) : null);
  }
  const made = await view.ask({ title: `Ask ${words} again?`, text: [`${plan.model} at ${plan.endpoint} gets this request once more. ${charged(plan)}`, ...plan.notes].join(" "), yes: "Ask" },
    "trace.replay", { id, side, agreed_usd: plan.most_usd });
  if (!made) return null;
  replays.set(id, [...(replays.get(id) ?? []), made].slice(-4));
  return view.draw();
}

const replayed = (made, at) => panel(`Asked again: ${made.plan.side}`, { "data-key": `replay-${at}-${made.at}`, "data-replay": made.plan.side },
  el("p", {}, pill(made.error === null ? "answered" : made.error.split(":")[0], made.error === null ? "good" : "bad"), " ", el("span", { class: "soft" }, made.plan.model)),
  made.content ? words(made.content) : el("p", { class: "soft" }, made.error ?? "No answer came."),
  facts([["at", moment(made.at)], ["first byte", made.ttft_ms === null ? null : ms(made.ttft_ms)], ["whole answer", made.total_ms === null ? null : ms(made.total_ms)], ["ended by", made.finish_reason],
    ["tokens in", made.usage?.prompt_tokens ?? null], ["tokens out", made.usage?.completion_tokens ?? null], ["cost", made.usd === null ? null : usd(made.usd)]]));

const again = (trace, view) => panel("Ask again", { "data-key": "again" },
  el("p", { class: "soft" }, "The same request, put once more to one side. What it costs is said before; the answer is shown here and not kept."),
  view.can("trace.replay") ? el("div", { class: "buttons" }, SIDES.map(([side, words]) => el("button", { type: "button", onclick: () => askAgain(trace.id, side, words, view) }, `Ask ${words}`))) : null,
  command(`freehold traces replay ${trace.id}`));

export function draw(record, view) {
  const trace = record.trace;
  if (!trace) return empty(record.id ? "There is no such trace" : "Which trace?", record.id ? "It may have been forgotten, or expired. A trace is written a moment after its answer." : "The traffic screen lists them.", "freehold traces list");
  const own = trace.answer;
  const title = (one) => (one.mirrored ? "Candidate, mirrored" : one.arm === "candidate" ? "Candidate" : "Incumbent");
  return [tiles([{ label: "when", value: moment(own.at), note: trace.source }, { label: "whole answer", value: ms(own.total_ms), note: own.ttft_ms === null ? null : `first byte ${ms(own.ttft_ms)}` },
    { label: "sent to", value: own.arm, note: [trace.decision, trace.share === null ? null : `at a share of ${percent(trace.share)}`].filter(Boolean).join(", ") || null },
    { label: "asked for", value: trace.model, note: trace.route ? `route ${trace.route}` : "no route" }]),
  el("div", { class: "columns" }, answer(own, `Answer: ${title(own)}`), trace.others.map((one) => answer(one, `Next to it: ${title(one)}`)), (replays.get(trace.id) ?? []).map(replayed)),
  own.mirrored || trace.others.length ? null : note("", "This request was not mirrored, so there is no second answer to compare with."),
  panel("Request", { "data-key": "request" }, trace.messages.map((message, at) => [
    at === 1 && trace.left_out ? el("p", { class: "soft" }, `${count(trace.left_out)} messages are left out here.`) : null,
    el("h3", {}, message.role), words(message.content)]), fold("parameters", "Its other fields", words(trace.parameters))),
  again(trace, view), feedback(trace, view),
  panel("Where it belongs", { "data-key": "belongs" }, facts([
    ["user", trace.user ? link(trace.user, "traffic", { user: trace.user }) : null],
    ["conversation", trace.conversation_id ? link(trace.conversation_id, "traffic", { conversation_id: trace.conversation_id }) : null],
    ["key", trace.api_key ? link(trace.api_key, "traffic", { api_key: trace.api_key }) : null],
    ["size", `${count(trace.stored_bytes)} bytes`], ["id", el("code", {}, trace.id)]]), command(`freehold traces show ${trace.id}`))];
}
