// What screens are made of: tiles, tables, filters, commands, empty states. Each returns an element.

import { el } from "./dom.js";
import { sentence } from "./format.js";

/** A command line with a button that copies it. */
export function command(text) {
  const done = el("span", { class: "soft small", role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      done.textContent = "copied";
    } catch { // a page without TLS on another machine has no clipboard
      done.textContent = "select it and press Ctrl-C";
    }
    setTimeout(() => { done.textContent = ""; }, 2500);
  };
  return el("div", { class: "command" }, el("code", { tabindex: "0" }, text),
    el("button", { type: "button", class: "quiet", "aria-label": `Copy ${text}`, onclick: copy }, "Copy"), done);
}

/** What to do about something: a command with its button, or words that hold one. */
export const wayOut = (text) => (!text ? null : /^freehold( [\w./:@=<>-]+)+$/.test(text) ? command(text) : el("p", { class: "soft small" }, sentence(text)));

/** What to see where there is nothing yet: what to do first, and the command that does it. */
export const empty = (title, text, line) => el("div", { class: "empty" }, el("h2", {}, title), el("p", {}, text), line ? command(line) : null);

/** An address of a screen: `#/traffic?route=a`. Parameters that are null or empty are left out. */
export function address(screen, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return `#/${screen}${given.length ? `?${query}` : ""}`;
}

export const link = (text, screen, parameters = {}, attributes = {}) => el("a", { href: address(screen, parameters), ...attributes }, text);

/** A number, or other text, that leads to the record it came from; plain text where there is none. */
export const from = (record, text) => (record ? link(text, "record", { id: record }, { class: "from", title: `record ${record}` }) : text);

/** Tiles with one figure each: `{ label, value, note, record, href, mark }`; `mark` is good, warn or bad. */
export function tiles(items) {
  const shown = items.filter(Boolean);
  // Seven in rows of four, not six and one alone; the style sheet makes fewer of them on a narrow page.
  const across = shown.length <= 6 ? Math.max(4, shown.length) : Math.ceil(shown.length / Math.ceil(shown.length / 6));
  return el("dl", { class: `tiles across-${across}` }, shown.map((item) =>
    el("div", { class: `tile ${item.mark ?? ""}` }, el("dt", {}, item.label),
      el("dd", {}, el("b", {}, item.href ? el("a", { href: item.href }, item.value) : from(item.record, item.value)),
        item.note ? el("span", {}, item.note) : null))));
}

export const pill = (text, mark = "") => el("span", { class: `pill ${mark}` }, text);

/** A box with a title, and what may stand at its right end. */
export const panel = (title, attributes, ...children) => el("section", { class: "panel", ...attributes },
  title ? el("div", { class: "title" }, el("h2", {}, title)) : null, children);

/** Folded away until it is asked for; stays open when the page is drawn again. */
export const fold = (key, title, ...children) => el("details", { "data-key": `fold-${key}` }, el("summary", {}, title), children);

/** What hangs over a screen: a problem, with what to do about it. */
export const note = (mark, ...children) => el("p", { class: `note ${mark}` }, children);

/**
 * A table. `columns` are `{ head, cell(row), number }`; `more` is `{ caption, key(row), href(row), next, first, empty, cards }`.
 * `cards` makes each row a card on a telephone. `href` makes a row lead somewhere: by its first cell, by Enter, and by j and k. `next` is the address of the next page,
 * null where this is the last one; `first` that of the first page, where this is another one.
 */
export function table(columns, rows, more = {}) {
  if (!rows.length && more.empty) return el("p", { class: "soft" }, more.empty);
  const head = columns.map((column) => el("th", { scope: "col", class: column.number ? "number" : null }, column.head));
  const body = rows.map((row) => {
    const href = more.href?.(row) ?? null;
    return el("tr", { "data-key": more.key ? `row-${more.key(row)}` : null, "data-row": href !== null, tabindex: href === null ? null : "-1" },
      columns.map((column, at) => {
        const value = column.cell(row);
        return el("td", { class: column.number ? "number" : null, "data-head": column.head }, href !== null && at === 0 ? el("a", { href }, value) : value);
      }));
  });
  return el("div", { class: more.cards ? "scroll cards" : "scroll", tabindex: "0", role: "region", "aria-label": more.caption ?? columns[0].head },
    el("table", {}, more.caption ? el("caption", {}, more.caption) : null,
      el("thead", {}, el("tr", {}, head)), el("tbody", {}, body)),
    more.next || more.first ? el("p", { class: "pages" },
      more.first ? el("a", { href: more.first }, "First page") : null,
      more.next ? el("a", { href: more.next, rel: "next" }, "Next page") : null) : null);
}

/**
 * A bar of filters that stands in the address: `{ name, label, kind, options, placeholder, value }`, kind `text`, `search`, `number`
 * or `select` (`options` are `[value, label]`); `value` is what is meant where the address says nothing. What is chosen becomes the parameters of the screen; paging begins again.
 */
export function filters(fields, view) {
  const chosen = (form) => {
    const given = { ...view.query, after: null };
    for (const [name, value] of new FormData(form)) given[name] = value.trim();
    view.go(given);
  };
  const submit = (event) => { event.preventDefault(); chosen(event.currentTarget); };
  const field = ({ name, label, kind = "text", options, placeholder, value: usual = "" }) => {
    const value = view.query[name] ?? usual;
    const input = kind === "select"
      ? el("select", { name, onchange: (event) => chosen(event.currentTarget.form) }, options.map(([key, words]) =>
        el("option", { value: key, selected: String(key) === value }, words)))
      : el("input", { name, type: kind, value, placeholder, autocomplete: "off", oninput: (event) => { event.currentTarget.dataset.written = ""; },
        step: kind === "number" ? "any" : null });
    return el("label", { "data-key": `filter-${name}` }, el("span", {}, label), input);
  };
  return el("form", { class: "filters", role: "search", onsubmit: submit, "data-key": "filters" }, fields.map(field),
    fields.some(({ kind }) => kind !== "select") ? el("button", { type: "submit" }, "Apply") : null,
    Object.keys(view.query).length ? link("Clear", view.screen) : null);
}

export const WINDOWS = [["300", "5 minutes"], ["900", "15 minutes"], ["3600", "hour"], ["21600", "6 hours"], ["86400", "day"], ["604800", "week"]];
/** How far back a screen looks, as a field of `filters`. */
export const windowField = { name: "window_s", label: "Last", kind: "select", options: WINDOWS, value: "900" };
