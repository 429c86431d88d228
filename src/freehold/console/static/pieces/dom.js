// Elements, and how a page that is drawn again keeps what a person is doing in it. Text only ever becomes text nodes,
// never markup, and what hides in it or turns its order is written as an escape.

const SVG = "http://www.w3.org/2000/svg";
const LISTENERS = ["onclick", "onchange", "oninput", "onsubmit", "onkeydown", "ontoggle"];
const TEXT_MAX = 200_000;
const MARKS_MAX = 8;
// The same set as src/freehold/visible.py: controls, marks of direction, characters without width, tags, lone halves.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{d800}-\u{dfff}\u{e0000}-\u{e007f}]/gu;
const MARKS = /\p{M}{9,}/gu;
const PLAIN = /^[\x20-\x7e\n\t]*$/;

const escaped = (character) => `\\u{${character.codePointAt(0).toString(16)}}`;

/** Text of strangers as it may be shown: bounded, its hidden characters as escapes, no towers of combining marks. */
export function inert(text, most = TEXT_MAX) {
  let shown = String(text);
  const more = shown.length - most;
  if (more > 0) shown = shown.slice(0, most);
  if (!PLAIN.test(shown)) {
    shown = shown.replace(HIDDEN, escaped)
      .replace(MARKS, (run) => { const marks = [...run]; return `${marks.slice(0, MARKS_MAX).join("")}[${marks.length - MARKS_MAX} more marks]`; });
  }
  return more > 0 ? `${shown}… [${more.toLocaleString("en")} more characters]` : shown;
}

/**
 * An element: `el("p", { class: "soft" }, "text", child, [children])`. Names that begin with `svg:` are of SVG.
 * Attributes: `on…` is a listener, `style` an object of properties, true an empty attribute, false and null none.
 * Children that are null or false are left out.
 */
export function el(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (LISTENERS.includes(key)) made[key] = value;
    else if (key === "style") for (const [property, length] of Object.entries(value)) made.style.setProperty(property, length);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, inert(value));
  }
  append(made, children);
  return made;
}

/** Add children to an element, as `el` does. */
export function append(parent, children) {
  for (const child of [children].flat(Infinity)) {
    if (child == null || child === false) continue;
    parent.append(child instanceof Node ? child : document.createTextNode(inert(child)));
  }
}

/**
 * Make the children of `parent` what was drawn, changing only what differs: focus, selections, open folds, scrolled
 * places and half-written fields stay. Elements with the same `data-key` are the same one, wherever they stand.
 */
export function redraw(parent, drawn) {
  const made = document.createElement("div");
  append(made, drawn);
  patchChildren(parent, made);
}

function patchChildren(parent, made) {
  const keyed = new Map();
  for (const child of parent.children) if (child.dataset?.key) keyed.set(child.dataset.key, child);
  let at = 0;
  for (const wanted of [...made.childNodes]) {
    const key = wanted.dataset?.key;
    let here = parent.childNodes[at] ?? null;
    if (key && keyed.has(key)) {
      const old = keyed.get(key);
      if (old !== here) parent.insertBefore(old, here);
      here = old;
    } else if (key || here?.dataset?.key) {
      parent.insertBefore(wanted, here);
      at += 1;
      continue;
    }
    if (here === null) parent.append(wanted);
    else patch(here, wanted);
    at += 1;
  }
  while (parent.childNodes.length > at) parent.lastChild.remove();
}

function patch(old, wanted) {
  if (old.nodeName !== wanted.nodeName || old.nodeType !== wanted.nodeType) return void old.replaceWith(wanted);
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== wanted.data) old.data = wanted.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    const own = name === "style" || name === "aria-selected" || (name === "open" && old.nodeName === "DETAILS");
    if (!own && !wanted.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  // Through the object model: a style attribute that is set as text is refused by the content security policy.
  if (old.style.cssText !== wanted.style.cssText) old.style.cssText = wanted.style.cssText;
  for (const name of LISTENERS) if (old[name] !== wanted[name]) old[name] = wanted[name];
  if (old !== document.activeElement && "value" in wanted && old.nodeName !== "LI" && old.dataset.written === undefined) {
    if (old.nodeName !== "SELECT" && old.value !== wanted.value) old.value = wanted.value;
  }
  patchChildren(old, wanted);
  if (old.nodeName === "SELECT" && old !== document.activeElement && old.value !== wanted.value) old.value = wanted.value;
}
