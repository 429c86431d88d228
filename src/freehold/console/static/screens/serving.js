// Serving: the gateway, the endpoints it can send requests to and how it goes with each, and the engine of this machine.

import { el } from "../pieces/dom.js";
import { count, gib } from "../pieces/format.js";
import { command, empty, link, note, panel, pill, table, tiles } from "../pieces/parts.js";

const FAILURES = { breaker: "passed over by the breaker", connect: "no connection", timeout: "too late", status: "status 5xx" };

const failures = (line) => Object.entries(line.failures).map(([kind, n]) => `${count(n)} ${FAILURES[kind] ?? kind.replaceAll("_", " ")}`).join(", ") || "none";

function state(line) {
  if (line.key_missing) return pill("its key is not set", "bad");
  if (line.answers === null) return pill("gateway is down", "");
  if (!line.answers) return pill("not asked yet", "");
  return line.errors ? pill(`${count(line.errors)} errors`, "warn") : pill("answers", "good");
}

function gateway(record) {
  if (!record.load && !record.gateway_url) return note("warn", "The gateway is off. ", command("freehold up --capture patterns"));
  const load = record.load, restarts = Object.values(load?.restarts ?? {}).reduce((sum, n) => sum + n, 0);
  return [tiles([{ label: "gateway", value: record.gateway_url ?? "runs", note: record.log ? `log: ${record.log}` : null, mark: "good" },
    load ? { label: "being answered now", value: count(load.in_flight), note: `${(load.held_bytes / 2 ** 20).toFixed(1)} MiB held` } : null,
    load ? { label: "traces written", value: count(load.stored), note: load.dropped ? `${count(load.dropped)} dropped` : "none dropped", mark: load.dropped ? "bad" : "good" } : null,
    load ? { label: "processes replaced", value: count(restarts), note: Object.keys(load.restarts).join(", ") || "none", mark: restarts ? "warn" : "good" } : null])];
}

function engine(line) {
  return panel("Engine of this machine", { "data-key": "engine" }, el("dl", { class: "tree" }, [["engine", line.engine], ["model", line.model], ["adapters", line.adapters.join(", ") || "none"],
    ["context", `${count(line.context_tokens)} tokens`], ["requests at once", count(line.parallel)], ["memory", line.memory_bytes ? gib(line.memory_bytes) : "not known"], ["weights", line.weights ?? "–"]]
    .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
}

export function draw(record) {
  if (!record.endpoints.length && !record.gateway_url) return empty("Nothing answers yet", "A gateway needs an endpoint: the incumbent's address in freehold.toml, or a model of this machine.", "freehold init LOG");
  const columns = [{ head: "endpoint", cell: (e) => el("b", {}, e.name) }, { head: "engine", cell: (e) => e.engine }, { head: "address", cell: (e) => e.address }, { head: "state", cell: state },
    { head: "answers", number: true, cell: (e) => count(e.answers) }, { head: "failed tries", cell: failures }, { head: "tried again", number: true, cell: (e) => count(e.retries) },
    { head: "models", cell: (e) => e.models.slice(0, 6).join(", ") || "any" }, { head: "routes", cell: (e) => (e.routes.length ? e.routes.map((name) => [link(name, "traffic", { route: name }), " "]) : "none") }];
  return [gateway(record), table(columns, record.endpoints, { caption: "Endpoints, and what the gateway counted since it started", key: (e) => e.name, cards: true }), record.engine ? engine(record.engine) : null];
}
