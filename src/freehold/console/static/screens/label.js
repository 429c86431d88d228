// Two answers to one question, without names: which is better? 1, 2, = and s say so, u takes the last one back.

import { el } from "../pieces/dom.js";
import { bar } from "../pieces/charts.js";
import { count, seconds } from "../pieces/format.js";
import { command, empty, link, note, panel } from "../pieces/parts.js";

let last = null;

const words = (text) => el("p", { class: "words" }, text.text, text.characters > text.text.length ? el("em", { class: "soft" }, ` … ${count(text.characters)} characters in all`) : null);

async function said(choice, view) {
  const pair = last;
  if (!pair?.pair_id) return;
  last = null; // a second press before the next pair stands there counts for nothing
  await view.act("label.pair", { evaluation: pair.evaluation_id, pair: pair.pair_id, choice }).catch((problem) => {
    last = pair;
    view.refresh();
    document.querySelector("#label-problem")?.replaceChildren(`${problem.message}. ${problem.hint ?? ""}`);
  });
}

async function undo(view) {
  if (last) await view.act("label.undo", { evaluation: last.evaluation_id }).catch((problem) => document.querySelector("#label-problem")?.replaceChildren(problem.message));
}

export function draw(record, view) {
  if (record.evaluation_id === null) return empty("There is nothing to label yet", "An evaluation holds two answers to each question: a candidate's and the incumbent's.", record.command);
  last = record;
  const done = el("p", {}, `${count(record.labelled)} of ${count(record.wanted)} pairs are labelled`, record.median_seconds === null ? "" : `, ${seconds(record.median_seconds)} each`, ".");
  const head = [done, bar(`${record.labelled} of ${record.wanted}`, [{ class: "candidate", value: record.labelled }], record.wanted), el("p", { id: "label-problem", class: "bad", role: "alert" }),
    record.hasty ? note("warn", "These labels came faster than two answers can be read. A judge should not be calibrated with them.") : null];
  const back = link("Back to the proof", "proof", { evaluation: record.evaluation_id });
  if (record.pair_id === null) return panel("All pairs are labelled", {}, head, el("p", {}, back), command("freehold evaluate"));
  const button = (choice, text, key) => el("button", { type: "button", "data-key": choice, onclick: () => said(choice, view) }, `${text} `, el("kbd", {}, key));
  return panel("Which answer is better?", {}, head, el("h3", {}, "Asked"), words(record.question),
    el("div", { class: "sides blind" }, el("div", { class: "panel" }, el("h3", {}, "Left"), words(record.left)), el("div", { class: "panel" }, el("h3", {}, "Right"), words(record.right))),
    el("div", { class: "buttons" }, button("left", "Left is better", "1"), button("right", "Right is better", "2"), button("equal", "Equal", "="), button("skip", "Skip", "s"),
      el("button", { type: "button", class: "quiet", onclick: () => undo(view) }, "Take the last back ", el("kbd", {}, "u"))),
    el("p", { class: "small" }, back), command(record.command));
}

export const keys = (view) => ({
  1: { words: "the left answer is better", press: () => said("left", view) }, 2: { words: "the right answer is better", press: () => said("right", view) },
  "=": { words: "both are as good", press: () => said("equal", view) }, s: { words: "skip the pair", press: () => said("skip", view) },
  u: { words: "take the last label back", press: () => undo(view) },
});
