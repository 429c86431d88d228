// Dialogs: a question with a reason before something is changed, a message that must be read, and the keys.

import { el } from "./dom.js";

function opened(dialog) {
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}

/**
 * Ask before something is changed. `ask`: `{ title, text, yes, danger, fields, reason, send(values) }`. `fields` are
 * `{ name, label, kind, options, placeholder, value, required, most }`, kind `lines` for a text of several; `send` gets them with `why`, and what it throws is shown.
 * Resolves to what `send` returned, or to null where it was left.
 */
export function askReason({ title, text, yes, danger = false, fields = [], reason = true, send }) {
  return new Promise((resolve) => {
    let result = null;
    const error = el("p", { class: "note bad", role: "alert", hidden: true });
    const confirm = el("button", { type: "submit", class: `strong ${danger ? "danger" : ""}` }, yes);
    const input = ({ name, label, kind = "text", options, placeholder, value = "", required = false, most = null }) => el("label", {}, label,
      kind === "select"
        ? el("select", { name }, options.map(([key, words]) => el("option", { value: key, selected: key === value }, words)))
        : kind === "lines" ? el("textarea", { name, rows: "4", placeholder, required, maxlength: most }, value)
          : el("input", { name, type: kind, placeholder, value, required, maxlength: most, autocomplete: "off" }));
    const form = el("form", { method: "dialog", async onsubmit(event) {
      event.preventDefault();
      confirm.disabled = true;
      error.hidden = true;
      try {
        result = (await send(Object.fromEntries(new FormData(form)))) ?? true;
        dialog.close();
      } catch (problem) {
        error.textContent = problem.hint ? `${problem.message}. ${problem.hint}` : problem.message;
        error.hidden = false;
      } finally {
        confirm.disabled = false;
      }
    } }, el("h2", { id: "dialog-title" }, title), text ? el("p", {}, text) : null, fields.map(input),
    reason ? el("label", {}, "Why", el("input", { name: "why", maxlength: "500", autocomplete: "off", placeholder: "for those who read the history" })) : null,
    error, el("div", { class: "buttons" }, el("button", { type: "button", onclick: () => dialog.close() }, "Leave it"), confirm));
    const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, form);
    dialog.addEventListener("close", () => resolve(result));
    opened(dialog);
  });
}

/** Show something that must be read, until it is closed. */
export function tell(title, ...children) {
  const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, el("form", { method: "dialog" }, el("h2", { id: "dialog-title" }, title), children,
    el("div", { class: "buttons" }, el("button", { type: "submit", class: "strong" }, "Close"))));
  return opened(dialog);
}
