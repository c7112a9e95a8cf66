// One trace: its tree and its time axis side by side, what is opened beside them.

import { href } from "./address.js";
import { fill, h } from "./dom.js";
import { count, duration, many } from "./format.js";
import { readZoom, writeZoom } from "./layout.js";
import { empty } from "./parts.js";
import { details } from "./trace_details.js";
import { follow } from "./trace_feed.js";
import { head } from "./trace_head.js";
import { nowIn, text, visible } from "./trace_model.js";
import { ROW, treeList } from "./tree_list.js";
import { waterfall } from "./waterfall.js";

export const title = "Trace";
export const styles = ["/trace.css"];
export const help = [
  ["f", "Next failure"],
  ["↑ ↓ Home End", "Another row"],
  ["← →", "Fold and unfold"],
  ["Enter", "Open a row; Esc closes it"],
  ["e", "Fold or unfold everything"],
  ["+ −", "Zoom in and out"],
  ["0", "Show all of the time"],
  [", .", "Earlier and later"],
];

const GROW_MS = 250;
const SLOW_MS = 1_500;
const REMEMBER_MS = 150;
const MOST_PRINTED = 600; // rows: a canvas has its limits
const CHOICES = [["", "all"], ["failed", "failed"], ["running", "running"]];

/** Open the view; see main.js for what it is given. */
export function open({ root, params, query, api, keep, announce, called, connection }) {
  const id = params[0] ?? "";
  const state = { only: query.only ?? "", zoom: readZoom(query.zoom), at: query.at ?? "", folded: new Set(), active: null, opened: null };
  let model = null;
  let rows = new Int32Array(0);
  let remembering = 0;
  const now = () => (model ? nowIn(model, performance.now()) : 0);

  const top = head({ onJump: jump });
  const panel = details({ onClose: closeRow });
  const axis = waterfall({ onZoom: zoomTo, onPlan: () => list.plan(), onPick: openRow });
  const list = treeList({
    onDraw: (first, last, y) => axis.draw(rows, first, last, y, printing ? last * ROW : list.element.clientHeight),
    onOpen: openRow,
    onFold: fold,
    onActive: (row) => {
      state.active = model.columns.key[row];
    },
  });
  list.tall.prepend(axis.bars);
  const choices = CHOICES.map(([value, word]) => h("button", { type: "button", role: "radio", "data-only": value, onclick: () => choose(value) }, word));
  const next = h("button", { type: "button", onclick: nextTrouble, title: "Next failure (f)" }, "Next failure");
  const copied = h("span", { class: "soft", role: "status" });
  const tools = h(
    "div",
    { class: "toolbar trace-tools" },
    h("span", { role: "radiogroup", "aria-label": "Which work is shown", class: "trace-only", onkeydown: turnChoice }, choices),
    next,
    h("button", { type: "button", onclick: foldAll, title: "Fold or unfold everything (e)" }, "Fold all"),
    h("button", { type: "button", onclick: () => axis.zoomBy(2), title: "Zoom in (+)", "aria-label": "Zoom in" }, "+"),
    h("button", { type: "button", onclick: () => axis.zoomBy(0.5), title: "Zoom out (-)", "aria-label": "Zoom out" }, "−"),
    h("button", { type: "button", onclick: () => zoomTo(null), title: "All of the time (0)" }, "All time"),
    h("button", { type: "button", onclick: copy }, "Copy address"),
    copied,
  );
  const none = h("p", { class: "soft", hidden: true });
  const main = h("div", { class: "trace-main" }, h("div", { class: "trace-axis" }, h("div", { class: "trace-heads soft", "aria-hidden": "true" }, ["Work", "State", "Took", "Tokens"].map((word) => h("span", {}, word))), axis.map), list.element, none);
  const body = h("div", { class: "trace-body" }, main, panel.element);
  const reading = h("p", { class: "soft", role: "status" }, "Reading the trace…");
  fill(root, reading);
  const slow = setTimeout(() => {
    reading.textContent = "Reading the trace… one of 100,000 events takes some seconds";
  }, SLOW_MS);

  const feed = follow({ api, id, at: state.at, onTrace: take, onError: tellError, connection });
  const growing = setInterval(() => {
    if (document.hidden || !model) return;
    top.grow();
    list.grow();
  }, GROW_MS);
  let printing = false;
  const print = matchMedia("print");
  const printed = () => layOut(print.matches);
  print.addEventListener("change", printed);

  function take(read) {
    const first = model === null;
    model = read;
    if (first) fill(root, top.element, tools, body);
    const { answer } = model;
    called(answer.root || `trace ${answer.trace}`);
    top.show(model, answer.others ? `the newest of ${many(answer.others + 1, "trace")} of ${id}` : "");
    if (first && state.at && answer.at !== null) {
      state.active = model.columns.key[answer.at];
      refresh();
      openRow(answer.at, { quiet: true });
      return;
    }
    refresh();
    if (state.opened !== null) reopen();
  }

  function refresh() {
    rows = visible(model, state.only, state.folded);
    for (const one of choices) {
      const own = one.dataset.only;
      const number = own === "failed" ? model.troubles : own === "running" ? model.goOn : model.size;
      one.textContent = `${CHOICES.find(([value]) => value === own)[1]} ${count(number)}`;
      one.setAttribute("aria-checked", String(own === state.only));
      one.tabIndex = own === state.only ? 0 : -1;
    }
    next.disabled = model.culprits.length === 0;
    none.hidden = rows.length > 0;
    none.textContent = state.only === "running" ? "Nothing is running." : state.only === "failed" ? "Nothing went wrong." : "Nothing is known of this trace.";
    draw();
  }

  function draw() {
    axis.show({ model, zoom: state.zoom, now });
    list.show({ model, rows, folded: state.folded, now, active: rowOf(state.active), opened: state.opened === null ? -1 : rowOf(state.opened) });
  }

  function rowOf(key) {
    return model.columns.key.indexOf(key);
  }

  // A wheel turns faster than a browser lets an address change.
  function remember() {
    clearTimeout(remembering);
    remembering = setTimeout(() => keep({ only: state.only, zoom: writeZoom(state.zoom), at: state.at }), REMEMBER_MS);
  }

  function choose(only) {
    state.only = only;
    refresh();
    remember();
    announce(`${count(rows.length)} rows`);
  }

  function turnChoice(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const place = CHOICES.findIndex(([value]) => value === state.only);
    const to = (place + step + CHOICES.length) % CHOICES.length;
    choose(CHOICES[to][0]);
    choices[to].focus();
  }

  function fold(row, isFolded) {
    const key = model.columns.key[row];
    if (isFolded) state.folded.add(key);
    else state.folded.delete(key);
    refresh();
  }

  function foldAll() {
    if (state.folded.size) state.folded.clear();
    else for (let row = 0; row < model.size; row += 1) if (model.end[row] > row + 1 && model.depth[row] > 0) state.folded.add(model.columns.key[row]);
    refresh();
  }

  function zoomTo(zoom) {
    state.zoom = zoom;
    draw();
    remember();
    announce(zoom ? `${duration(zoom.from)} to ${duration(zoom.to)}` : "all of the time");
  }

  /** Make a row visible, whatever is folded or left out around it, and the active one. */
  function jump(row) {
    for (let around = model.parent[row]; around >= 0; around = model.parent[around]) state.folded.delete(model.columns.key[around]);
    if (state.only && !(state.only === "failed" && model.trouble[row])) state.only = "";
    state.active = model.columns.key[row];
    refresh();
    list.reveal(row);
    list.element.focus({ preventScroll: true });
    announce(`${text(model, "kind", row)} ${text(model, "title", row)} ${text(model, "word", row)}: ${text(model, "reason", row)}`);
  }

  function nextTrouble() {
    if (!model) return;
    const active = rowOf(state.active);
    const row = model.culprits.find((one) => one > active) ?? model.culprits[0];
    if (row === undefined) announce("Nothing went wrong");
    else jump(row);
  }

  async function openRow(row, { quiet = false } = {}) {
    const key = model.columns.key[row];
    state.opened = key;
    panel.show(model, row);
    body.classList.add("has-details");
    draw();
    list.reveal(row);
    if (!quiet) panel.head.focus();
    await readWork(key);
  }

  async function readWork(key) {
    try {
      const work = await api.get("work", { id: model.answer.id, key });
      if (state.opened !== key) return;
      panel.showEvents(work);
      state.at = work.events[0]?.event.event_id ?? "";
      remember();
    } catch (error) {
      if (state.opened === key) panel.showError(error.text ?? String(error));
    }
  }

  // The trace has changed: the panel follows.
  function reopen() {
    const row = rowOf(state.opened);
    if (row < 0) return;
    panel.show(model, row);
    readWork(state.opened);
  }

  function closeRow() {
    state.opened = null;
    state.at = "";
    panel.hide();
    body.classList.remove("has-details");
    draw();
    remember();
    list.element.focus({ preventScroll: true });
  }

  async function copy() {
    try {
      await navigator.clipboard.writeText(location.href);
      copied.textContent = "copied, without the token";
    } catch {
      copied.textContent = "the browser does not allow it: copy it from the address bar";
    }
    setTimeout(() => {
      copied.textContent = "";
    }, 4_000);
  }

  function tellError(error, again) {
    if (model) return;
    fill(
      root,
      empty("This trace cannot be shown", error.text ?? String(error)),
      h("p", { class: "words" }, h("button", { type: "button", onclick: again }, "Try again"), " ", h("a", { href: href(["traces"]) }, "All traces")),
    );
  }

  // On paper there is nothing to scroll: all rows that a printer bears.
  function layOut(onPaper) {
    printing = onPaper;
    body.classList.toggle("is-printed", onPaper);
    list.whole(onPaper ? MOST_PRINTED * ROW : 0);
    none.hidden = !onPaper || rows.length <= MOST_PRINTED;
    if (!none.hidden) none.textContent = `The first ${count(MOST_PRINTED)} of ${count(rows.length)} rows.`;
  }

  function close() {
    feed.close();
    clearInterval(growing);
    clearTimeout(remembering);
    clearTimeout(slow);
    print.removeEventListener("change", printed);
    list.close();
    axis.close();
  }

  return {
    close,
    update({ query: asked }) {
      Object.assign(state, { only: asked.only ?? "", zoom: readZoom(asked.zoom) });
      if (model) refresh();
    },
    keys: {
      f: nextTrouble,
      Escape: () => state.opened !== null && closeRow(),
      e: foldAll,
      "+": () => axis.zoomBy(2, rowOf(state.active)),
      "=": () => axis.zoomBy(2, rowOf(state.active)),
      "-": () => axis.zoomBy(0.5),
      0: () => zoomTo(null),
      ",": () => axis.moveBy(-0.25),
      ".": () => axis.moveBy(0.25),
    },
  };
}
