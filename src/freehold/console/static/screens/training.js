// Training runs: curves while they run, memory, two side by side.

import { el } from "../pieces/dom.js";
import { figures, lines } from "../pieces/charts.js";
import { ago, count, gib, number, percent, seconds } from "../pieces/format.js";
import { command, empty, filters, from, note, panel, pill, table, tiles } from "../pieces/parts.js";

const MARKS = { done: "good", running: "warn", stopped: "", failed: "bad" };
const step = (n) => `step ${count(n)}`;

/** One curve of one or two runs. */
function curve(title, key, record, words, more = []) {
  const shown = [record.run, record.against].filter(Boolean);
  const series = shown.flatMap((run) => [[key, ""], ...more].map(([field, kind]) => ({ name: `${run.line.name}${kind}`, points: run[field] }))).filter((one) => one.points.length);
  if (!series.some((one) => one.points.length > 1)) return null;
  const last = series.map((one) => `${one.name} ${words(one.points.at(-1)[1])}`).join(", ");
  return panel(title, { "data-key": key }, lines({ label: `${title} over steps: ${last} at the end`, series, xWords: step, yWords: words, across: 2 }),
    figures(key, [{ head: "step", number: true, cell: (row) => count(row[1][0]) }, { head: "run", cell: (row) => row[0] }, { head: title, number: true, cell: (row) => words(row[1][1]) }],
      series.flatMap((one) => one.points.filter((_, at) => at % Math.ceil(one.points.length / 20) === 0 || at === one.points.length - 1).map((point) => [one.name, point]))));
}

export function draw(record, view) {
  if (!record.run) return empty("Nothing was trained yet", "Training teaches an open model this task from the dataset. A dry run says memory, steps and time first.", record.first_command);
  const { line, result, encoder, said } = record.run;
  const names = record.runs.map((one) => [one.name, `${one.name}, ${one.kind}, ${one.state}`]);
  const chosen = { run: line.name, against: record.against?.line.name ?? "" };
  const differences = Object.entries(record.differences);
  return [filters([{ name: "run", label: "Run", kind: "select", options: names }, { name: "against", label: "Against", kind: "select", options: [["", "none"], ...names.filter(([name]) => name !== line.name)] }], { ...view, query: chosen }),
    tiles([{ label: "State", value: line.state, mark: MARKS[line.state], note: `last heard ${ago(line.at, record.at)}` },
      { label: line.kind === "encoder" && line.loss === null ? "Texts" : "Steps", value: `${count(line.step)} of ${count(line.steps)}`, record: line.record_id, note: line.seconds_left !== null && line.state === "running" ? `about ${seconds(line.seconds_left)} left` : null },
      line.loss !== null && { label: "Loss", value: number(line.loss), record: line.record_id }, line.score !== null && { label: "Validation answers right", value: percent(line.score), record: line.record_id, note: "to the letter" },
      { label: "Memory at most", value: gib(line.peak_memory_bytes), record: line.record_id },
      result && { label: "Trained on", value: count(result.train_tokens), record: result.dataset_id, note: `tokens in ${seconds(result.train_seconds)}` },
      encoder && { label: "Trained on", value: count(encoder.train_samples), record: encoder.dataset_id, note: `samples in ${seconds(encoder.train_seconds)}` },
      encoder && { label: "Kept stage", value: encoder.stage, record: encoder.id, note: encoder.stages.map((one) => `${one.stage} ${count(one.right)} of ${count(one.asked)}`).join(", ") }]),
    line.state === "stopped" || line.state === "failed" ? note("warn", `This run is ${line.state}. The same command goes on from its checkpoint: `, command(line.kind === "encoder" ? "freehold migrate" : "freehold train")) : null,
    el("div", { class: "columns" }, curve("Loss", "loss", record, (value) => number(value), [["validation_loss", ", validation"]]), curve("Validation answers right", "score", record, percent),
      curve("Memory", "memory_bytes", record, (value) => `${(value / 2 ** 30).toFixed(2)} GiB`), curve("Tokens per second", "tokens_per_second", record, (value) => count(Math.round(value))), curve("Learning rate", "learning_rate", record, (value) => value.toExponential(1))),
    said.length ? panel("What was said on the way", { "data-key": "said" }, el("ul", { class: "small" }, said.map((text) => el("li", {}, text)))) : null,
    differences.length ? panel("What differs", { "data-key": "differences" }, table([{ head: "field", cell: ([name]) => name }, { head: line.name, cell: ([, pair]) => JSON.stringify(pair[0]) }, { head: chosen.against, cell: ([, pair]) => JSON.stringify(pair[1]) }], differences, { cards: true })) : null,
    panel("Runs", { "data-key": "runs" }, table([{ head: "run", cell: (one) => one.name }, { head: "state", cell: (one) => pill(one.state, MARKS[one.state]) }, { head: "steps", number: true, cell: (one) => `${count(one.step)} of ${count(one.steps)}` },
      { head: "loss", number: true, cell: (one) => from(one.adapter_id, number(one.loss)) }, { head: "right", number: true, cell: (one) => percent(one.score) }, { head: "memory", number: true, cell: (one) => gib(one.peak_memory_bytes) }, { head: "last heard", cell: (one) => ago(one.at, record.at) }],
    record.runs, { caption: "The newest first", key: (one) => one.name, cards: true, href: (one) => view.with({ run: one.name, against: "" }) }), command(record.command))];
}
