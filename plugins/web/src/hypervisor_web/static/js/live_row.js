// One line of the list: an event, or what is said in the place of events.

import { href } from "./address.js";
import { h, say } from "./dom.js";
import { many, time, utc } from "./format.js";

const COLUMNS = [
  ["sign", ""],
  ["time", "Time"],
  ["type", "Type"],
  ["agent", "Agent"],
  ["summary", "What"],
  ["trace", "Trace"],
];

let made = 0;

/** Make the line above the rows. */
export function makeHead() {
  const cells = COLUMNS.map(([key, word]) => h("span", { role: "columnheader", class: `cell ${key}`, "aria-label": word ? null : "State" }, word));
  return h("div", { role: "rowgroup", class: "head" }, h("div", { role: "row", class: "row" }, cells));
}

/** Make an element that `paintRow` fills. */
export function makeRow() {
  const cell = (name, ...inside) => h("span", { role: "gridcell", class: `cell ${name}` }, ...inside);
  const parts = {
    sign: h("span", { class: "is-failed" }),
    time: h("time"),
    type: h("bdi", { class: "mono" }),
    agent: h("bdi"),
    summary: h("bdi"),
    trace: h("a", { tabindex: "-1", class: "mono", href: "#/" }),
    words: h("span", { class: "soft" }),
    button: h("button", { type: "button", tabindex: "-1", class: "fold" }),
  };
  const element = h(
    "div",
    { role: "row", class: "row", id: `row-${(made += 1)}` },
    cell("sign", parts.sign),
    cell("time", parts.time),
    cell("type", parts.type),
    cell("agent", parts.agent),
    cell("summary", parts.summary, parts.words, parts.button),
    cell("trace", parts.trace),
  );
  element.parts = parts;
  element.shown = null;
  return element;
}

/** Show a row of the server; its ordinal is null where it is older than the ring. */
export function paintRow(element, row, ordinal) {
  if (element.shown === row) return;
  element.shown = row;
  const [, us, type, did, agent, , trace, short, trouble, summary] = row;
  const { parts } = element;
  reset(element, trouble ? "row wrong" : "row");
  element.dataset.ordinal = ordinal ?? "";
  say(parts.sign, trouble ? "✗" : "");
  if (trouble) parts.sign.title = "went wrong";
  else parts.sign.removeAttribute("title");
  say(parts.time, time(us));
  parts.time.title = utc(us);
  say(parts.type, type);
  say(parts.agent, agent || did || "");
  parts.agent.title = did && agent ? `${agent} (${did})` : (did ?? "");
  say(parts.summary, summary ?? "");
  parts.summary.title = summary ?? "";
  say(parts.trace, short ?? "");
  parts.trace.hidden = !trace;
  if (trace) {
    parts.trace.setAttribute("href", href(["trace", trace]));
    parts.trace.title = `trace ${trace} (t)`;
  }
}

/** Say something in the place of an event: that it is on its way, or is gone. */
export function paintWords(element, text) {
  if (element.shown === text) return;
  element.shown = text;
  delete element.dataset.ordinal;
  reset(element, "row waits");
  for (const key of ["sign", "time", "type", "agent", "summary", "trace"]) {
    say(element.parts[key], "");
    element.parts[key].removeAttribute("title");
  }
  element.parts.trace.hidden = true;
  say(element.parts.words, text);
}

/** Forget what is shown: the element is in nobody's sight. */
export function clearRow(element) {
  element.shown = null;
  delete element.dataset.ordinal;
}

/** Offer something in the place of events that are not listed. */
export function paintOffer(element, text) {
  paintWords(element, text);
  element.className = "row offer";
  say(element.parts.words, "");
  say(element.parts.button, text);
  element.parts.button.hidden = false;
}

/** What a gap offers. */
export function gapText(gap) {
  return `${many(gap.count, "event")} left out here: show`;
}

function reset(element, className) {
  element.className = className;
  say(element.parts.words, "");
  element.parts.button.hidden = true;
}
