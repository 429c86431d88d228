// The console's page: asks for the state every two seconds and draws it. Text from the store only ever becomes text
// nodes, never markup. A picture's figures also stand in a table beside it.

const EVERY_MS = 2000;
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

// The token stays in this tab's storage, which is of this port alone; a cookie would go to every port of the host.
const TOKEN = "freehold-token";
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(TOKEN, given);
  history.replaceState(null, "", location.pathname);
}
let changes = false;

/** Ask the server, with the token; an answer that is none is thrown as its words. */
async function call(path, options = {}) {
  const reply = await fetch(path, { ...options, headers: { Authorization: `Bearer ${sessionStorage.getItem(TOKEN) ?? ""}` } });
  const text = await reply.text();
  if (reply.status === 401) lock();
  if (!reply.ok) throw new Error(JSON.parse(text).error);
  return text;
}

/** An element with attributes (`on…` are listeners) and children; null children are left out. */
function el(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  for (const child of children.flat()) if (child != null) made.append(child);
  return made;
}

const percent = (share) => `${Number((100 * share).toFixed(share < 0.1 ? 1 : 0))}%`;
const count = (n) => n.toLocaleString("en");
const ms = (value) => (value == null ? "–" : value < 1000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`);
const clock = (iso) => new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const wait = (s) => (s < 90 ? `${s.toFixed(0)} seconds` : `${Number((s / 60).toFixed(1))} minutes`);
const moment = (iso) => new Date(iso).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
const STATES = { incumbent: "incumbent only", shadow: "mirroring", canary: "canary", promoted: "promoted",
  rolled_back: "rolled back", paused: "paused" };

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
  const bar = el("div", { class: "split", role: "img", "aria-label": `candidate ${percent(share)}, incumbent ${percent(1 - share)}` });
  for (const [name, part] of [["ca", share], ["in", 1 - share]]) {
    const piece = el("i", { class: name });
    piece.style.width = `${100 * part}%`;
    bar.append(piece);
  }
  return bar;
}

function chart(series, windowSeconds) {
  const width = 640, height = 130, low = 122, step = width / series.length;
  const top = Math.max(1, ...series.map((b) => Math.max(b.incumbent + b.candidate, b.mirrored)));
  const y = (n) => low - (n / top) * (low - 12);
  const total = series.reduce((sum, b) => sum + b.incumbent + b.candidate, 0);
  const made = el("svg:svg", { viewBox: `0 0 ${width} ${height}`, class: "picture chart", role: "img",
    "aria-label": `${count(total)} requests, at most ${count(top)} in one of ${series.length} stretches of time` });
  series.forEach((b, at) => {
    const x = at * step + 0.5, w = step - 1;
    const bar = (cls, from, n) => made.append(el("svg:rect", { class: cls, x, width: w, y: y(from + n), height: Math.max(0, y(from) - y(from + n)) }));
    if (b.incumbent) bar("in", 0, b.incumbent);
    if (b.candidate) bar("ca", b.incumbent, b.candidate);
    if (b.errors) made.append(el("svg:rect", { class: "er", x, width: w, y: low + 2, height: 4 }));
  });
  if (series.some((b) => b.mirrored)) {
    made.append(el("svg:polyline", { class: "mi", points: series.map((b, at) => `${at * step + step / 2},${y(b.mirrored)}`).join(" ") }));
  }
  made.append(el("svg:line", { class: "axis", x1: 0, x2: width, y1: low, y2: low }));
  // Words beside the picture, not in it: they keep their size on a telephone.
  const words = (...parts) => el("p", { class: "marks" }, parts.map((part) => el("span", {}, part)));
  const bar = `${count(top)} in ${(windowSeconds / series.length).toFixed(0)} s`;
  return [words(total ? `highest bar: ${bar}` : "no requests in this window"), made, words(clock(series[0].at), "now")];
}

function table(head, rows, numbers = 1) {
  const cell = (tag, at, value) => el(tag, at >= numbers ? { class: "number" } : {}, value);
  return el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, head.map((words, at) => cell("th", at, words)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((value, at) => cell("td", at, value)))))));
}

const key = (cls, words) => el("span", {}, el("i", { class: `key ${cls}` }), words);

function ladder(rollout) {
  const steps = ["mirrored", ...rollout.stages.map(percent), "everyone"];
  const now = rollout.state === "promoted" ? steps.length - 1 : rollout.stage + 1;
  const made = el("ol", { class: "ladder" }, steps.map((words, at) => el("li", {
    class: rollout.state === "rolled_back" ? (at === now ? "back" : "") : at < now ? "done" : at === now ? "now" : "",
    "aria-current": at === now ? "step" : false }, rollout.state === "rolled_back" && at === now ? `${words}: rolled back` : words)));
  return made;
}

function tests(look) {
  return table(["test", "toward rollback", "users", "estimate", "safe to go on"], look.metrics.map((m) => {
    const full = Math.min(1, Math.max(0, Math.log(Math.max(1, m.e_value)) / Math.log(m.acts_at)));
    const bar = el("i", { class: m.rollback ? "full" : "" });
    bar.style.width = `${100 * full}%`;
    const meter = el("div", { class: "meter", role: "img", "aria-label": `${percent(full)} of the way to an automatic rollback` }, bar);
    return [m.metric, meter, count(m.units), m.estimate == null ? "–" : m.estimate.toFixed(3), m.promote == null ? "no such test" : m.promote ? "yes" : "not yet shown"];
  }), 2);
}

const ASKS = {
  advance: ["Go one step further?", "The next larger share of users is answered by the candidate.", "Advance"],
  pause: ["Pause?", "The incumbent answers everyone for now. What was learned is kept.", "Pause"],
  promote: ["Promote?", "The candidate answers everyone.", "Promote"],
  rollback: ["Roll back?", "The incumbent answers everyone again, within a second. The rollout ends.", "Roll back"],
};

function buttons(view) {
  if (!changes) return null;
  const button = (action, disabled, cls = "") => el("button", { class: cls, disabled, "data-action": action, onclick: () => ask(view.route.name, action) }, ASKS[action][2]);
  const rollout = view.status?.rollout;
  const back = () => button("rollback", false, "back");
  if (!rollout || rollout.state === "rolled_back") {
    // Moved by hand, without a rollout: the way back is the same.
    return ["shadow", "canary", "promoted"].includes(view.route.state) ? el("div", { class: "buttons" }, back()) : null;
  }
  const over = rollout.state === "promoted", last = rollout.stage + 1 >= rollout.stages.length;
  // From a pause in mirroring it goes back to mirroring, which no test has to allow.
  const blocked = view.status.missing.length > 0 && rollout.paused_in !== "shadow";
  return el("div", { class: "buttons" },
    over ? null : button(last ? "promote" : "advance", blocked, "strong"),
    over || rollout.state === "paused" ? null : button("pause", false),
    back());
}

function section(view, windowSeconds, open) {
  const route = view.route, rollout = view.status?.rollout;
  const shown = rollout?.state === "paused" ? "paused" : route.state;
  const made = el("section", { class: "route", "data-route": route.name },
    el("div", { class: "title" }, el("h2", {}, route.name), el("span", { class: `pill ${shown}` }, STATES[shown] ?? shown)),
    el("p", { class: "soft" }, `Requests for ${route.model}. ${sentence(view)}`),
    split(route),
    ...chart(view.series, windowSeconds),
    el("p", { class: "legend" }, key("in", "incumbent"), key("ca", "candidate"), key("mi", "mirrored"), key("er", "errors"),
      view.shortened ? "only the newest requests are drawn" : null),
    table(["who answered", "requests", "errors", "stood in for", "half under", "95% under"],
      [["incumbent", view.incumbent], ["candidate", view.candidate], ["candidate, mirrored", view.mirrored]].map(([name, arm]) =>
        [name, count(arm.requests), count(arm.errors), count(arm.fallbacks), ms(arm.p50_ms), ms(arm.p95_ms)])));
  if (rollout) {
    made.append(el("h3", {}, `Rollout ${rollout.number}`), ladder(rollout), tests(view.status.look),
      el("p", { class: "small soft" }, `A user counts once, ${wait(rollout.window_s)} after the first request.`));
    if (view.status.missing.length) made.append(el("p", { class: "small soft" }, "Before the next step:"), el("ul", { class: "small" }, view.status.missing.map((m) => el("li", {}, m))));
  } else {
    made.append(el("p", { class: "small soft" }, "No rollout yet: ", el("code", {}, "freehold rollout start"), " begins one."));
  }
  const row = buttons(view);
  if (row) made.append(row);
  const fold = (id, title, body) => made.append(el("details", { "data-fold": `${route.name}/${id}`, open: open.has(`${route.name}/${id}`) }, el("summary", {}, title), body));
  fold("latest", "Latest requests", view.latest.length ? table(["when", "who", "status", "time", "tokens", "trace"], view.latest.map((t) =>
    [clock(t.at), t.mirrored ? "candidate, mirrored" : t.arm + (t.fallback ? ` (stood in: ${t.fallback})` : ""),
      `${t.status}${t.completeness === "complete" ? "" : ` ${t.completeness.replace("_", " ")}`}`, ms(t.total_ms), t.completion_tokens ?? "–",
      el("code", {}, t.id.slice(0, 13))]), 3) : el("p", { class: "soft" }, "None in this window."));
  fold("history", "History", table(["when", "who", "why", "state"], view.history.map((h) =>
    [moment(h.at), h.who, h.why || "–", h.route ? (STATES[h.route.state] ?? h.route.state) : "removed"]), 9));
  return made;
}

/** What was asked besides the routes: passed on to the incumbent, or refused. */
function besides(state) {
  if (!state.others.length) return [];
  return [el("section", { class: "route" }, el("div", { class: "title" }, el("h2", {}, "Besides the routes")),
    el("p", { class: "soft" }, "Since the gateway started, by kind of path. What is refused, an application goes without."),
    table(["path", "passed on", "refused"], state.others.map((o) => [o.path, count(o.passed_on), count(o.refused)])))];
}

function draw(state) {
  const open = new Set([...document.querySelectorAll("details[open]")].map((d) => d.dataset.fold));
  $("where").textContent = state.gateway_url ? `freehold console · gateway at ${state.gateway_url}` : "freehold console";
  document.title = `${state.app} · freehold console`;
  $("app").textContent = state.app;
  $("lead").className = "lead";
  $("lead").textContent = state.routes.length
    ? `${count(state.traces)} requests on record.` + (state.verdict ? ` The last verdict on ${state.verdict.candidate}: ${state.verdict.outcome}.` : "")
    : "There is no route yet. freehold up takes traffic in; freehold rollout start begins to mirror it.";
  $("routes").replaceChildren(...state.routes.map((view) => section(view, state.window_s, open)), ...besides(state));
  $("reports").replaceChildren(...(state.reports.length ? [el("h2", {}, "Reports"), el("ul", {}, state.reports.map((r) =>
    el("li", {}, el("a", { href: "#", onclick: (event) => { event.preventDefault(); openReport(r.name); } }, r.name), ` ${moment(r.at)}`)))] : []));
}

let last = "", pressed = false;
document.addEventListener("pointerdown", () => { pressed = true; });
for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => { pressed = false; });

/** What a person would see change: not the clock, not pictures that only moved on. */
const shape = (state) => JSON.stringify({ ...state, at: 0, routes: state.routes.map((r) => ({ ...r, series: r.series.map((b) => ({ ...b, at: 0 })) })) });

async function openReport(name) {
  const { ticket } = JSON.parse(await call(`/api/reports/${encodeURIComponent(name)}`, { method: "POST" }));
  location.assign(`/reports/${encodeURIComponent(name)}?ticket=${ticket}`);
}

/** Nothing is shown to who has no token. */
function lock() {
  sessionStorage.removeItem(TOKEN);
  changes = false;
  last = "";
  $("routes").replaceChildren();
  $("reports").replaceChildren();
  $("who").textContent = "";
  $("login").hidden = false;
}

async function enter() {
  const visitor = JSON.parse(await call("/api/visitor"));
  changes = visitor.changes;
  $("who").textContent = `· ${visitor.who}${visitor.changes ? "" : ", looks only"}`;
  $("login").hidden = true;
}

async function look() {
  if (!sessionStorage.getItem(TOKEN)) {
    $("lead").className = "lead";
    $("lead").textContent = "Open the address that freehold console printed, or show a key.";
    $("login").hidden = false;
    return;
  }
  try {
    if (!$("who").textContent) await enter();
    const text = await call(`/api/screens/rollout?window=${$("window").value}`);
    const state = JSON.parse(text);
    // Nothing is redrawn under the hand of someone who is pressing a button or reading.
    const now = shape(state);
    if (now !== last && !pressed) {
      const focused = document.activeElement?.dataset?.action;
      draw(state);
      last = now;
      if (focused) document.querySelector(`[data-action="${focused}"]`)?.focus();
    }
  } catch (error) {
    $("lead").className = "lead stale reject";
    $("lead").textContent = `What is shown is old: ${error.message}.`;
    last = "";
  }
}

function ask(route, action) {
  const [title, text, yes] = ASKS[action], dialog = $("ask");
  $("ask-title").textContent = title;
  $("ask-text").textContent = `${route}: ${text}`;
  $("ask-yes").textContent = yes;
  $("ask-yes").className = action === "rollback" ? "strong back" : "strong";
  $("ask-error").textContent = "";
  $("ask-why").value = "";
  dialog.dataset.route = route;
  dialog.dataset.action = action;
  dialog.showModal();
}

$("ask-no").addEventListener("click", () => $("ask").close());
$("ask").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const dialog = $("ask"), { route, action } = dialog.dataset;
  $("ask-yes").disabled = true;
  try {
    await call(`/api/routes/${encodeURIComponent(route)}/${action}`, { method: "POST", body: JSON.stringify({ why: $("ask-why").value }) });
    dialog.close();
    await look();
  } catch (error) {
    $("ask-error").textContent = error.message;
  } finally {
    $("ask-yes").disabled = false;
  }
});
$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("login-error").textContent = "";
  try {
    const { token } = JSON.parse(await call("/api/login", { method: "POST", body: JSON.stringify({ key: $("login-key").value }) }));
    sessionStorage.setItem(TOKEN, token);
    $("login-key").value = "";
    await look();
  } catch (error) {
    $("login-error").textContent = error.message;
  }
});
$("window").addEventListener("change", look);
look();
setInterval(look, EVERY_MS);
