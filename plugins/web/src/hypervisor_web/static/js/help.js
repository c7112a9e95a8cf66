// What `?` shows: the keys of the view and of the page, and how the filter is written.

import { h } from "./dom.js";
import { lettersOn, setLetters } from "./keys.js";

const OPTIONS = [
  ["--type 'ring.*'", "Events of this type or pattern"],
  ["--agent NAME", "Events of this agent: its name, its id, or a pattern"],
  ["--session ID", "Events of this session"],
  ["--trace ID", "Events of this trace"],
  ["--since 5m", "Events since then: 30s, 5m, 2h, 1d, or a time"],
  ["--until 5m", "Events until then, likewise"],
  ["--wrong", "Only what went wrong"],
  ["disk full", "Events whose text holds these words"],
];

/**
 * Open the dialog; `help` is a list of `[keys, what they do]`, and
 * `takesOptions` says whether the view's filter is written with options.
 */
export function openHelp({ help = [], takesOptions = false }) {
  if (document.querySelector("dialog[open]")) return;
  const letters = h("input", { type: "checkbox", id: "letters" });
  letters.checked = lettersOn();
  letters.addEventListener("change", () => setLetters(letters.checked));
  const dialog = h(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    h("h2", { id: "help-title" }, "Keys"),
    list([...help, ["?", "This help"]], "kbd"),
    h("p", {}, letters, " ", h("label", { for: "letters" }, "Keys of one letter work")),
    takesOptions ? [h("h2", {}, "The filter"), list(OPTIONS, "code")] : null,
    h("p", {}, "Every address can be shared: it holds the view, its filter, and what is chosen. It does not hold the token."),
    h("p", {}, h("button", { type: "button", onclick: () => dialog.close() }, "Close")),
  );
  const before = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (before instanceof HTMLElement) before.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
}

function list(pairs, tag) {
  return h("dl", { class: "keys" }, pairs.map(([key, does]) => [h("dt", {}, h(tag, {}, key)), h("dd", {}, does)]));
}
