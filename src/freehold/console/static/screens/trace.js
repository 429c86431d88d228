// One request: what was asked, the answer and the other side's answer next to each other, when, why there, and feedback.

import { el } from "../pieces/dom.js";
import { count, ms, number, moment, percent } from "../pieces/format.js";
import { command, empty, fold, link, note, panel, pill, tiles } from "../pieces/parts.js";

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

export function draw(record, view) {
  const trace = record.trace;
  if (!trace) return empty(record.id ? "There is no such trace" : "Which trace?", record.id ? "It may have been forgotten, or expired. A trace is written a moment after its answer." : "The traffic screen lists them.", "freehold traces list");
  const own = trace.answer;
  const title = (one) => (one.mirrored ? "Candidate, mirrored" : one.arm === "candidate" ? "Candidate" : "Incumbent");
  return [tiles([{ label: "when", value: moment(own.at), note: trace.source }, { label: "whole answer", value: ms(own.total_ms), note: own.ttft_ms === null ? null : `first byte ${ms(own.ttft_ms)}` },
    { label: "sent to", value: own.arm, note: [trace.decision, trace.share === null ? null : `at a share of ${percent(trace.share)}`].filter(Boolean).join(", ") || null },
    { label: "asked for", value: trace.model, note: trace.route ? `route ${trace.route}` : "no route" }]),
  el("div", { class: "columns" }, answer(own, `Answer: ${title(own)}`), trace.others.map((one) => answer(one, `Next to it: ${title(one)}`))),
  own.mirrored || trace.others.length ? null : note("", "This request was not mirrored, so there is no second answer to compare with."),
  panel("Request", { "data-key": "request" }, trace.messages.map((message, at) => [
    at === 1 && trace.left_out ? el("p", { class: "soft" }, `${count(trace.left_out)} messages are left out here.`) : null,
    el("h3", {}, message.role), words(message.content)]), fold("parameters", "Its other fields", words(trace.parameters))),
  feedback(trace, view),
  panel("Where it belongs", { "data-key": "belongs" }, facts([
    ["user", trace.user ? link(trace.user, "traffic", { user: trace.user }) : null],
    ["conversation", trace.conversation_id ? link(trace.conversation_id, "traffic", { conversation_id: trace.conversation_id }) : null],
    ["key", trace.api_key ? link(trace.api_key, "traffic", { api_key: trace.api_key }) : null],
    ["size", `${count(trace.stored_bytes)} bytes`], ["id", el("code", {}, trace.id)]]), command(`freehold traces show ${trace.id}`))];
}
