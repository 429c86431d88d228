// The ruling for this use: memo, what the model is made of, duties to tick, and the files that meet them.

import { el } from "../pieces/dom.js";
import { count, day } from "../pieces/format.js";
import { tell } from "../pieces/dialogs.js";
import { address, command, empty, filters, fold, from, link, panel, pill } from "../pieces/parts.js";

const OUTCOMES = { allowed: ["Allowed", "good"], allowed_with_obligations: ["Allowed, with duties", "good"], not_allowed: ["Not allowed", "bad"],
  needs_separate_license: ["Needs a licence of its own", "bad"], unclear: ["Unclear", "warn"] };
const EDGES = { base: "base", fine_tune: "fine-tuned", adapter: "adapter", merge: "merged", quantize: "quantized", distilled_from: "learned the answers of", trained_on: "trained on", surgery: "changed", prompted_with: "shown the answers of" };

/** Who ticks a duty says that it is done: the store keeps who and when. A box that was refused is as it was. */
async function tick(box, one, detail, view) {
  box.disabled = true;
  try {
    await view.act("license.duty", { model: detail.ruling.model, duty: one.id, done: box.checked });
  } catch (problem) {
    box.checked = one.done !== null;
    tell("It was not kept", el("p", {}, problem.message), problem.hint ? el("p", { class: "soft" }, problem.hint) : null);
  } finally {
    box.disabled = false;
  }
}

function lineage(detail) {
  return panel("What it is made of", { "data-key": "lineage" }, el("ol", { class: "lineage" },
    detail.lineage.edges.map((edge) => el("li", {}, el("span", { class: "soft small" }, EDGES[edge.kind] ?? edge.kind), el("b", {}, edge.model), edge.license_id ? el("code", {}, edge.license_id) : null, edge.note ? el("span", { class: "small soft" }, edge.note) : null)),
    el("li", { class: "now" }, el("span", { class: "soft small" }, "yours"), el("b", {}, detail.lineage.model))),
  el("p", { class: "small" }, "Licences: ", detail.ruling.licenses.map((name, at) => [at ? ", " : "", el("code", {}, name)])));
}

function duties(detail, view) {
  const may = view.can("license.duty");
  // What is ticked is another element than what is open, so that a box never keeps a state that the store does not have.
  const line = (one) => el("li", { "data-key": `${one.id}:${one.done !== null}` }, el("label", {}, el("input", { type: "checkbox", checked: one.done !== null, disabled: !may, onchange: (event) => tick(event.currentTarget, one, detail, view) }), " ", one.obligation.text),
    one.done ? el("p", { class: "small good" }, `Done, says ${one.done.who}, ${day(one.done.at)}.`) : null,
    one.obligation.value ? el("p", { class: "words small" }, "Word for word: ", el("q", {}, one.obligation.value)) : null,
    el("p", { class: "small soft" }, from(detail.stored ? detail.ruling.id : null, `${one.obligation.license_id} ${one.obligation.section}`), one.files.length ? ` · in ${one.files.join(", ")}` : ""));
  const due = detail.duties.filter((one) => one.due), wise = detail.duties.filter((one) => !one.due);
  const done = due.filter((one) => one.done !== null).length;
  return panel(due.length ? `Duties: ${count(done)} of ${count(due.length)} done` : "Duties", { "data-key": "duties" }, due.length ? el("ul", { class: "checklist" }, due.map(line)) : el("p", {}, "Nothing is due for this use."),
    wise.length ? fold("wise", `Wise, or a policy to stay within: ${count(wise.length)}`, el("ul", { class: "checklist" }, wise.map(line))) : null);
}

export function draw(record, view) {
  const detail = record.detail;
  if (!detail) return empty("No model is named yet", "A licence is ruled on for one model and one use.", record.first_command);
  const ruling = detail.ruling, [words, mark] = OUTCOMES[ruling.outcome];
  const models = record.models.includes(ruling.model) ? record.models : [ruling.model, ...record.models];
  const deciding = ruling.reasons.filter((one) => one.outcome !== null), other = ruling.reasons.filter((one) => one.outcome === null);
  const reason = (one) => el("li", {}, one.text, el("span", { class: "small soft" }, ` ${one.license_id} ${one.section}, ${one.confidence}${one.model ? `, ${one.model}` : ""}`));
  return [filters([{ name: "model", label: "Model", kind: "select", options: models.map((name) => [name, name]) }], { ...view, query: { model: ruling.model } }),
    panel(ruling.model, { "data-key": "ruling" }, el("p", { class: "lead" }, pill(words, mark), " ", from(detail.stored ? ruling.id : null, detail.stored ? "the ruling that the last report rests on" : "made just now for the use in freehold.toml")),
      deciding.length ? el("ul", {}, deciding.map(reason)) : null,
      ruling.violations.length ? [el("h3", {}, "Mend first"), el("ul", {}, ruling.violations.map((text) => el("li", { class: "bad" }, text)))] : null,
      ruling.would_change.length ? [el("h3", {}, "What would change it"), el("ul", {}, ruling.would_change.map((text) => el("li", {}, text)))] : null,
      ruling.assumptions.length ? [el("h3", {}, "What is assumed"), el("ul", {}, ruling.assumptions.map((text) => el("li", {}, text)))] : null,
      other.length ? fold("considered", "What was considered", el("ul", { class: "small" }, other.map(reason))) : null,
      fold("memo", "The memo, to send on", el("pre", { tabindex: "0" }, detail.memo)), command(record.command)),
    el("div", { class: "columns" }, duties(detail, view), lineage(detail)),
    panel("Files that meet the duties", { "data-key": "files" }, Object.entries(detail.files).map(([name, text]) => fold(`file-${name}`, name, el("pre", { tabindex: "0" }, text))), command(`freehold license comply ${ruling.model} --out legal/`),
      el("p", { class: "small" }, link("All models for this use", "models"), " · ", el("a", { href: address("proof") }, "Is it good enough?")))];
}
