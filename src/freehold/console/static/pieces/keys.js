// The keyboard: g and a letter to go to a screen, j and k along the rows, / to search, ? for all of it.

import { el } from "./dom.js";
import { tell } from "./dialogs.js";

const GO_MS = 1500;
let going = 0;

const writes = (target) => target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.nodeName));

/** Move along what is marked `data-row`, `step` rows on. */
function move(step) {
  const rows = [...document.querySelectorAll("main [data-row]")];
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement?.closest("[data-row]"));
  const next = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

function help(screens, own) {
  const line = (keys, words) => el("tr", {}, el("td", {}, keys.map((key) => [el("kbd", {}, key), " "])), el("td", {}, words));
  tell("Keys", el("table", {}, el("tbody", {},
    screens.filter((screen) => screen.shortcut).map((screen) => line(["g", screen.shortcut], screen.title)),
    line(["j"], "next row"), line(["k"], "row before"), line(["Enter"], "open the row"), line(["/"], "search"), line(["?"], "these keys"),
    Object.entries(own).map(([key, { words }]) => line([key], words)))));
}

/** Listen. `screens()` are those of the navigation, `own()` the keys of the screen shown: `{ d: { words, press } }`. */
export function listen({ screens, own, go }) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || writes(event.target) || document.querySelector("dialog[open]")) return;
    const key = event.key;
    if (Date.now() - going < GO_MS) {
      going = 0;
      const screen = screens().find((one) => one.shortcut === key);
      if (screen) { event.preventDefault(); go(screen.name); return; }
    }
    if (key === "g") going = Date.now();
    else if (key === "j" || key === "k") move(key === "j" ? 1 : -1);
    else if (key === "/") {
      const field = document.querySelector("main input[type=search], main .filters input");
      if (!field) return;
      event.preventDefault();
      field.focus();
      field.select();
    } else if (key === "?") help(screens(), own());
    else if (key === "Enter" && event.target.matches?.("[data-row]")) event.target.querySelector("a")?.click();
    else if (own()[key]) { event.preventDefault(); own()[key].press(); }
  });
}
