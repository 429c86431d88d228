// Pictures as SVG. Each says in words what it shows (`label`), and its figures stand in a table next to it: `figures`.

import { el } from "./dom.js";
import { fold, table } from "./parts.js";

const svg = (width, height, label, ...children) => el("svg:svg", { viewBox: `0 0 ${width} ${height}`, class: "picture", role: "img", "aria-label": label }, children);
const text = (x, y, words, at = "middle") => el("svg:text", { x, y, class: at }, words);
/** How wide a picture is drawn, in its own units: those of the window, so that words keep their size on a telephone, and
 * where `across` of them stand next to each other. */
function roomFor(across = 1) {
  const room = (document.querySelector("main")?.clientWidth ?? 720) - 80;
  return Math.max(280, Math.min(900, across > 1 && room > 780 ? room / across - 30 : room));
}
/** A name in the room there is: without the organisation before it first, then without its middle, since the end tells names apart. */
function fitted(name, most) {
  const short = name.length > most ? name.replace(/^[^/\s]+\//, "") : name;
  if (short.length <= most) return short;
  const end = Math.floor((most - 1) / 2);
  return `${short.slice(0, most - 1 - end)}…${short.slice(short.length - end)}`;
}
const near = (value) => Number(value.toFixed(2));

/** About `most` round numbers from `low` to `high`. */
function ticks(low, high, most = 5) {
  const span = high - low || 1;
  const raw = span / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

/** The figures of a picture, folded away under it. */
export const figures = (key, columns, rows) => fold(`figures-${key}`, "The figures", table(columns, rows, { caption: "Figures of the picture" }));

/**
 * Intervals one below the other. `rows`: `{ name, low, estimate, high, chosen, href }`; `margin` is the line that must not be
 * crossed, `noise` half the width of the band in which a thing differs from itself. `format` writes a value.
 */
export function intervals({ label, rows, margin = null, noise = null, format = String }) {
  const width = roomFor(), left = width < 480 ? 110 : width < 800 ? 190 : 260, right = 24, line = 40, top = 28, low = top + rows.length * line;
  const all = rows.flatMap((row) => [row.low, row.high, row.estimate]).concat([0, margin ?? 0, noise ?? 0, -(noise ?? 0)]).filter(Number.isFinite);
  const least = Math.min(...all), most = Math.max(...all), room = 0.06 * (most - least || 1);
  const x = (value) => near(left + ((value - least + room) / (most - least + 2 * room)) * (width - left - right));
  const made = svg(width, low + 34, label);
  if (margin !== null) made.append(el("svg:rect", { class: "safe", x: x(margin), y: top - 8, width: width - right - x(margin), height: low - top + 12 }));
  if (noise) made.append(el("svg:rect", { class: "noise", x: x(-noise), y: top - 8, width: near(x(noise) - x(-noise)), height: low - top + 12 }));
  made.append(el("svg:line", { class: "zero", x1: x(0), x2: x(0), y1: top - 8, y2: low + 4 }), text(x(0), low + 22, format(0)));
  if (margin !== null) made.append(el("svg:line", { class: "margin", x1: x(margin), x2: x(margin), y1: top - 8, y2: low + 4 }), text(x(margin), top - 14, `margin ${format(margin)}`));
  rows.forEach((row, at) => {
    const y = top + at * line + line / 2, cls = row.chosen ? "chosen" : "soft";
    const name = text(left - 14, y + 4, fitted(row.name, Math.floor(left / 7)), "end");
    made.append(row.href ? el("svg:a", { href: row.href }, name) : name);
    if (Number.isFinite(row.low) && Number.isFinite(row.high)) made.append(el("svg:line", { class: `interval ${cls}`, x1: x(row.low), x2: x(row.high), y1: y, y2: y }));
    if (Number.isFinite(row.estimate)) made.append(el("svg:circle", { class: `dot ${cls}`, cx: x(row.estimate), cy: y, r: 5 }));
  });
  return made;
}

/**
 * Lines over time or steps. `series`: `{ name, points: [[x, y]], band: [[x, low, high]] }`; `marks` are level lines
 * `{ y, words }`; `range` cuts what lies outside of `[low, high]`; `across` pictures stand in a row; `xWords` and `yWords` write a value; `times` says that x is an ISO time.
 */
export function lines({ label, series, marks = [], xWords = String, yWords = String, times = false, zero = false, range = null, across = 1 }) {
  const width = roomFor(across), height = 220, left = 64, right = 16, top = 16, low = 186;
  const place = (value) => (times ? new Date(value).getTime() : value);
  const xs = series.flatMap((one) => one.points.map((p) => place(p[0])));
  const ys = series.flatMap((one) => [...one.points.map((p) => p[1]), ...(one.band ?? []).flatMap((p) => [p[1], p[2]])]).concat(marks.map((m) => m.y), zero ? [0] : []).filter(Number.isFinite);
  if (!xs.length || !ys.length) return el("p", { class: "soft" }, "Nothing to draw yet.");
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)], [y0, y1] = range ?? [Math.min(...ys), Math.max(...ys)];
  const x = (value) => near(left + ((place(value) - x0) / (x1 - x0 || 1)) * (width - left - right));
  const y = (value) => near(low - ((Math.max(y0, Math.min(y1, value)) - y0) / (y1 - y0 || 1)) * (low - top));
  const made = svg(width, height, label);
  for (const at of ticks(y0, y1, 4)) made.append(el("svg:line", { class: "axis", x1: left, x2: width - right, y1: y(at), y2: y(at) }), text(left - 8, y(at) + 4, yWords(at), "end"));
  for (const mark of marks) made.append(el("svg:line", { class: "margin", x1: left, x2: width - right, y1: y(mark.y), y2: y(mark.y) }), text(width - right, y(mark.y) + 14, mark.words, "end"));
  series.forEach((one, at) => {
    if (one.band?.length) {
      const edge = [...one.band.map((p) => `${x(p[0])},${y(p[2])}`), ...[...one.band].reverse().map((p) => `${x(p[0])},${y(p[1])}`)];
      made.append(el("svg:polygon", { class: `band s${at % 6}`, points: edge.join(" ") }));
    }
    const points = one.points.filter((p) => Number.isFinite(p[1]));
    made.append(el("svg:polyline", { class: `curve s${at % 6}`, points: points.map((p) => `${x(p[0])},${y(p[1])}`).join(" ") }));
    if (points.length === 1) made.append(el("svg:circle", { class: `dot s${at % 6}`, cx: x(points[0][0]), cy: y(points[0][1]), r: 4 }));
  });
  const end = (value) => xWords(times ? new Date(value).toISOString() : value);
  made.append(text(left, height - 8, end(x0), "start"), text(width - right, height - 8, end(x1), "end"));
  return el("figure", {}, series.length > 1 ? legend(series.map((one, at) => [`s${at % 6}`, one.name])) : null, made);
}

/** Bars of several parts over time: `rows` are `{ x, parts: [n, …], under }`, `parts` `[class, words]`; `under` marks a row. */
export function stacked({ label, rows, parts, xWords }) {
  const width = roomFor(), height = 150, low = 124, step = width / Math.max(1, rows.length);
  const top = Math.max(1, ...rows.map((row) => row.parts.reduce((sum, n) => sum + n, 0)));
  const tall = (n) => near((n / top) * (low - 12));
  const made = svg(width, height, label);
  rows.forEach((row, at) => {
    let from = low;
    row.parts.forEach((n, part) => {
      if (!n) return;
      from -= tall(n);
      made.append(el("svg:rect", { class: parts[part][0], x: near(at * step + 0.5), y: near(from), width: near(Math.max(0.5, step - 1)), height: tall(n) }));
    });
    if (row.under) made.append(el("svg:rect", { class: "error", x: near(at * step + 0.5), y: low + 2, width: near(Math.max(0.5, step - 1)), height: 4 }));
  });
  made.append(el("svg:line", { class: "axis", x1: 0, x2: width, y1: low, y2: low }));
  if (rows.length) made.append(text(0, height - 6, xWords(rows[0].x), "start"), text(width, height - 6, xWords(rows.at(-1).x), "end"));
  return el("figure", {}, made, legend(parts));
}

/** One bar in parts: `{ name, value, class }`, of `total`; what is left over is the rest. */
export function bar(label, parts, total) {
  const made = el("div", { class: "bar", role: "img", "aria-label": label });
  for (const part of parts) made.append(el("i", { class: part.class, style: { width: `${Math.max(0, Math.min(100, (100 * part.value) / (total || 1)))}%` } }));
  return made;
}

export const legend = (parts) => el("p", { class: "legend" }, parts.map(([cls, words]) => el("span", {}, el("i", { class: `key ${cls}` }), words)));
