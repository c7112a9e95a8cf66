// Elements, made without markup: whatever a name holds, it becomes text.

// What would turn text into markup or code. The page's policy forbids most of it; this says so early.
const FORBIDDEN = /^(innerHTML|outerHTML|srcdoc|style)$/i;

/**
 * Make an element.
 *
 * `props`: `class`; `on...` with a function listens; `true` and `false` set and remove an attribute;
 * null and undefined are left out; anything else becomes an attribute. `children`: nodes, texts,
 * arrays of either; null, undefined and false are left out. Links lead to addresses of this page.
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  set(element, props ?? {});
  append(element, children);
  return element;
}

/** Set what `h` takes as `props` on an element that exists. */
export function set(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (FORBIDDEN.test(name)) throw new TypeError(`h() does not set ${name}`);
    if (name.startsWith("on")) {
      if (typeof value === "function") element.addEventListener(name.slice(2), value);
      else if (value != null) throw new TypeError(`h() expected a function as ${name}`);
    } else if (name === "href" && !/^(#|\/(?![/\\]))/.test(value)) throw new TypeError(`h() links within this page, not to ${value}`);
    else if (value === true) element.setAttribute(name, "");
    else if (value === false || value == null) element.removeAttribute(name);
    else element.setAttribute(name, String(value));
  }
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (child == null || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child);
  }
}

/** Replace all that `element` holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** Set an element's text if it is another one: a text that stays costs no layout. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Write a name that anybody may have chosen: isolated from the direction around it, whole in its title. */
export function name(text, props = {}) {
  return h("bdi", { class: "name", title: text, ...props }, text);
}

const sheets = new Map();

/** Load a style sheet once; resolves when it applies, or cannot be had. */
export function sheet(href) {
  if (!sheets.has(href)) {
    const link = h("link", { rel: "stylesheet", href });
    sheets.set(href, new Promise((done) => {
      link.addEventListener("load", done);
      link.addEventListener("error", done);
    }));
    document.head.append(link);
  }
  return sheets.get(href);
}
