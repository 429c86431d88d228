// The console's frame: who looks, the navigation, the screen that the address names, and how often it is asked for again.
// A screen is a module `screens/NAME.js` with `draw(record, view)`, which returns its nodes, and perhaps `keys(view)`.

import { el, inert, redraw } from "./pieces/dom.js";
import { askReason } from "./pieces/dialogs.js";
import { listen } from "./pieces/keys.js";
import { address, command, link, note } from "./pieces/parts.js";
import * as server from "./pieces/server.js";

const GROUPS = [["journey", "Journey"], ["running", "In operation"], ["project", "Project"]];
const RETRY_MS = 4000;
/** What is shown is dimmed while its successor takes longer than this. */
const SLOW_MS = 500;
const $ = (id) => document.getElementById(id);

let visitor = null;
let shown = { name: null, query: {}, text: "", module: null, record: null };
let timer = 0;
let slow = 0;
let asked = 0;
let pressed = false;

const screenNamed = (name) => visitor.screens.find((screen) => screen.name === name);

/** What the address says: `#/traffic?route=a` is the screen traffic with one parameter. */
function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: path || visitor.screens[0]?.name, query: Object.fromEntries(new URLSearchParams(query)) };
}

/** What a screen's script is given besides its record. */
function viewOf(name, query) {
  return {
    screen: name,
    query,
    may: (permission) => visitor.may.includes(permission),
    /** The title of another screen, where this visitor may see it; else null. */
    has: (other) => screenNamed(other)?.title ?? null,
    can: (action) => visitor.actions.includes(action),
    go: (parameters, screen = name) => { location.hash = address(screen, parameters); },
    /** The address of this screen with some of its parameters changed. */
    with: (changes) => address(name, { ...query, ...changes }),
    refresh: () => look(true),
    /** Draw what is shown again: for what a page knows and the store does not. */
    draw: () => { if (shown.name === name) draw(); },
    act: async (action, body) => {
      const result = await server.act(action, body);
      await look(true);
      return result;
    },
    /** Ask for a reason, then do `action` with `body`; resolves to what it returned, null where it was left. */
    ask: (question, action, body = {}) => askReason({ ...question, send: async (values) => {
      const result = await server.act(action, { ...body, ...values });
      await look(true);
      return result;
    } }),
    openReport: server.openReport,
  };
}

function drawNavigation() {
  const now = shown.name;
  redraw($("screens"), GROUPS.map(([group, title]) => {
    const screens = visitor.screens.filter((screen) => screen.group === group);
    return screens.length ? el("div", { "data-key": group }, el("h2", {}, title), el("ul", {}, screens.map((screen) =>
      el("li", { "data-key": screen.name }, link(screen.title, screen.name, {}, { "aria-current": screen.name === now ? "page" : null, "aria-keyshortcuts": screen.shortcut ? `g ${screen.shortcut}` : null }))))) : null;
  }));
  $("app").textContent = inert(visitor.app, 60);
  $("who").textContent = inert(`${visitor.who} · ${visitor.actions.length ? visitor.role : "looks only"}`, 80);
}

function drawHead(screen) {
  document.title = `${screen.title} · ${inert(visitor.app, 60)} · freehold`;
  $("title").textContent = screen.title;
  redraw($("command"), screen.command ? command(screen.command) : null);
}

/** What is shown stays, and is said to be old. */
function drawProblem(problem) {
  const old = shown.record ? "What is shown is old: " : "";
  redraw($("problem"), note("bad", `${old}${problem.message}.`, problem.hint ? el("span", {}, ` ${problem.hint}.`) : null));
}

function draw() {
  const view = viewOf(shown.name, shown.query);
  redraw($("screen"), shown.module.draw(shown.record, view));
}

/** Whether something else was asked for than what stands there. A reader of the screen is told, too. */
function expect(something) {
  const screen = $("screen");
  clearTimeout(slow);
  if (something) {
    screen.setAttribute("aria-busy", "true");
    slow = setTimeout(() => screen.classList.add("waits"), SLOW_MS);
  } else {
    screen.removeAttribute("aria-busy");
    screen.classList.remove("waits");
  }
}

/** Nothing is shown to a visitor without a token. */
function lock(words = "") {
  clearTimeout(timer);
  expect(false);
  server.dropToken();
  visitor = null;
  shown = { name: null, query: {}, text: "", module: null, record: null };
  for (const id of ["screens", "screen", "problem", "command"]) redraw($(id), null);
  for (const id of ["app", "who"]) $(id).textContent = "";
  $("title").textContent = "freehold console";
  $("login-error").textContent = words;
  $("login").hidden = false;
  document.body.classList.add("locked");
}

async function enter() {
  visitor = await server.visitor();
  $("login").hidden = true;
  document.body.classList.remove("locked");
}

/** Ask for the screen of the address, and draw it where it is another one than what is shown. */
async function look(now = false) {
  clearTimeout(timer);
  const ask = ++asked;
  if (!server.hasToken()) return lock();
  // A look by the clock changes nothing until it has something to show.
  if (now || !shown.module) expect(true);
  let again = RETRY_MS;
  try {
    if (!visitor) await enter();
    if (ask !== asked) return;
    const { name, query } = place();
    const screen = screenNamed(name);
    if (!screen) {
      shown = { name, query, text: "", module: null, record: null };
      drawHead({ title: "Not here" });
      drawNavigation();
      return redraw($("screen"), note("bad", "There is no such screen, or you may not see it. ", link("To the first screen", visitor.screens[0].name)));
    }
    const turned = name !== shown.name;
    if (turned) {
      const module = await import(`./screens/${name}.js`);
      if (ask !== asked) return; // another screen was asked for meanwhile
      shown = { name, query, text: "", module, record: null };
      redraw($("screen"), el("p", { class: "soft", "aria-busy": "true" }, "Reading the store."));
      redraw($("problem"), null);
      drawHead(screen);
      $("navigation").classList.remove("open");
      $("menu").setAttribute("aria-expanded", "false");
    }
    drawNavigation();
    shown.query = query;
    const text = await server.screenRecord(name, query);
    if (ask !== asked) return;
    again = screen.refresh_seconds * 1000;
    redraw($("problem"), null);
    // Nothing moves under the hand of someone who is pressing a button.
    if (text !== shown.text && (now || !pressed)) {
      shown.record = JSON.parse(text);
      draw();
      shown.text = text;
    }
    if (turned) {
      window.scrollTo(0, 0);
      $("title").focus({ preventScroll: true });
    }
  } catch (problem) {
    if (ask !== asked) return;
    if (problem.status === 401) return lock(visitor ? "This session is over. Show a key, or open the printed address again." : "");
    if (!(problem instanceof server.Refused)) console.error(problem);
    if (problem.status === 400 || problem.status === 403) redraw($("screen"), null);
    if (shown.record === null || problem.status >= 400 && problem.status < 500) redraw($("screen"), null);
    drawProblem(problem);
    shown.text = "";
  } finally {
    if (ask === asked) expect(false);
  }
  if (again && document.visibilityState === "visible") timer = setTimeout(look, again);
}

document.addEventListener("pointerdown", () => { pressed = true; });
for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => { pressed = false; });
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") look(); });
window.addEventListener("hashchange", () => { server.takeToken(); look(true); });
$("menu").addEventListener("click", () => {
  const open = $("navigation").classList.toggle("open");
  $("menu").setAttribute("aria-expanded", String(open));
});
$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("login-error").textContent = "";
  try {
    await server.login($("login-key").value);
    $("login-key").value = "";
    await look();
  } catch (error) {
    $("login-error").textContent = error.hint ? `${error.message}: ${error.hint}` : error.message;
  }
});
listen({
  screens: () => visitor?.screens ?? [],
  own: () => shown.module?.keys?.(viewOf(shown.name, shown.query)) ?? {},
  go: (name) => { location.hash = address(name); },
});
server.takeToken();
look();
