// Keys of the keyboard: one letter each, those of the view before those of the page.

const STORE = "letters";
let view = {};
const page = {};

/** Whether keys of one letter do something; a viewer who dictates turns them off. */
export function lettersOn() {
  return localStorage.getItem(STORE) !== "off";
}

/** Turn the keys of one letter on or off, in this browser. */
export function setLetters(on) {
  localStorage.setItem(STORE, on ? "on" : "off");
}

/** Take the view's keys: `{f() {...}, "/"() {...}}`; those of the view before are forgotten. */
export function ofView(keys) {
  view = keys ?? {};
}

/** Take the page's own keys. */
export function ofPage(keys) {
  Object.assign(page, keys);
}

/** Listen, once. */
export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if ((event.key.length === 1 && !lettersOn()) || isTaken(event)) return;
    const does = view[event.key] ?? page[event.key];
    if (!does) return;
    if (does(event) !== false) event.preventDefault(); // false: it was not for this key
  });
}

// A field takes all keys; what can be pressed takes the space bar; a dialog takes what is in it.
function isTaken(event) {
  const at = event.target;
  if (!(at instanceof Element)) return false;
  if (at.closest("dialog[open], input:not([type=checkbox], [type=radio]), textarea, select")) return true;
  return event.key === " " && at.closest("button, a[href], summary, input, [role=button]") !== null;
}
