// Small pieces that the views share: states in words, links, figures.

import { href, live } from "./address.js";
import { h, name } from "./dom.js";
import { ago, moment, now, utc } from "./format.js";

// A sign beside each state's word and colour, as none of the three is to be the only one.
const SIGNS = {
  ok: "✓",
  failed: "✗",
  running: "▸",
  undone: "↶",
  refused: "⊘",
  cancelled: "−",
  erased: "□",
};

/** The sign of a state; empty where it has none. */
export function sign(state) {
  return SIGNS[state] ?? "";
}

/** A state as a chip: its sign and its word, such as `chip("ok", "committed")`. */
export function chip(state, word = state) {
  return h("span", { class: `chip ${SIGNS[state] ? state : ""}` }, h("span", { class: "sign", "aria-hidden": "true" }, sign(state)), word);
}

/** An agent's name as a link to its events. */
export function agentLink(did, shown) {
  return h("a", { href: live("agent", did), title: did }, name(shown || did));
}

/** A link to a trace, shown by what the server calls it. */
export function traceLink(id, shown = id) {
  return h("a", { href: href(["trace", id]), title: `trace ${id}` }, name(shown));
}

/** A link to a session. */
export function sessionLink(id, shown = id) {
  return h("a", { href: href(["session", id]), title: `session ${id}` }, name(shown));
}

/** A moment: how long ago, and in the title when, in the viewer's zone and in UTC. `tick` renews it. */
export function since(us) {
  return h("time", { class: "since", "data-us": us, title: `${moment(us)} (${utc(us)})` }, ago(us, now()));
}

/** Renew every `since` within an element, but in rows that a table says are out of sight: call it each second. */
export function tick(root) {
  const present = now();
  for (const one of root.querySelectorAll("time.since")) {
    if (one.closest("tr")?.away) continue;
    const text = ago(Number(one.dataset.us), present);
    if (one.textContent !== text) one.textContent = text;
  }
}

/** What a view says where it has nothing to show: a line, and what to do about it. */
export function empty(title, ...hints) {
  return h("div", { class: "empty" }, h("p", { class: "lead" }, title), hints.map((hint) => h("p", {}, hint)));
}

/** Figures with their names beside them: `figures([["agents", "3"], ["cost", node]])`. */
export function figures(pairs) {
  return h("dl", { class: "figures" }, pairs.map(([what, value]) => h("div", {}, h("dt", {}, what), h("dd", {}, value))));
}
