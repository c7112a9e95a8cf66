// The tree of a trace as a list of rows, of which only those in sight are elements.

import { h, say } from "./dom.js";
import { count, duration } from "./format.js";
import { sign } from "./parts.js";
import { agent, hasBelow, isPoint, placeOf, text, took } from "./trace_model.js";

/** Height of a row, in pixels. */
export const ROW = 26;
const BEYOND = 4; // rows above and below what is in sight
const DEEPEST = 16; // further in, the depth is written instead
const STEP = 14;

let lists = 0;

/**
 * Make the list.
 *
 * `onDraw(first, last, top)` is called when rows `first` to before `last` are in sight, the first of
 * them `top` pixels below the upper edge. `onOpen(row)` is asked for by Enter or a click,
 * `onFold(row, fold)` by the arrows, `onActive(row)` when another row is the active one.
 */
export function treeList({ onDraw, onOpen, onFold, onActive }) {
  lists += 1;
  const prefix = `work-${lists}-`;
  const rowsBox = h("div", { class: "trace-rows", role: "rowgroup" });
  const tall = h("div", { class: "trace-tall", role: "presentation" }, rowsBox);
  const element = h("div", { class: "trace-scroll", role: "treegrid", tabindex: "0", "aria-label": "Work of this trace", "aria-readonly": "true" }, tall);
  const slots = [];
  let model = null;
  let rows = new Int32Array(0);
  let active = -1; // a row of the model
  let folded = new Set();
  let opened = -1;
  let now = () => 0;
  let planned = 0;
  let all = false; // for print: as many rows as a printer bears
  let drawn = [0, 0];

  element.addEventListener("scroll", plan, { passive: true });
  element.addEventListener("keydown", press);
  element.addEventListener("click", click);
  const watched = new ResizeObserver(plan);
  watched.observe(element);

  function show(next) {
    const anchor = next.model === model ? null : inSight();
    ({ model, rows, folded, now } = next);
    active = rows.length ? rows[Math.max(0, placeOf(model, rows, Math.max(0, next.active)))] : -1;
    opened = next.opened;
    tall.style.height = `${rows.length * ROW}px`;
    element.setAttribute("aria-rowcount", String(rows.length));
    for (const slot of slots) slot.row = -1;
    if (anchor) hold(anchor);
    draw();
  }

  // What comes above the rows in sight must not move them.
  function inSight() {
    const { scrollTop } = element;
    const row = rows[Math.floor(scrollTop / ROW)];
    return scrollTop && row !== undefined ? { key: model.columns.key[row], beyond: scrollTop % ROW } : null;
  }

  function hold({ key, beyond }) {
    const place = placeOf(model, rows, model.columns.key.indexOf(key));
    if (place >= 0) element.scrollTop = place * ROW + beyond;
  }

  function plan() {
    if (!planned) planned = requestAnimationFrame(draw);
  }

  function draw() {
    cancelAnimationFrame(planned);
    planned = 0;
    if (!model) return;
    const top = all ? 0 : element.scrollTop;
    const high = all || element.clientHeight;
    const first = Math.max(0, Math.floor(top / ROW) - BEYOND);
    const last = Math.min(rows.length, Math.ceil((top + high) / ROW) + BEYOND);
    while (slots.length < last - first) slots.push(slot());
    // A row keeps its element while it is in sight.
    const used = new Set();
    for (let place = first; place < last; place += 1) {
      const own = slots[place % slots.length];
      used.add(own);
      if (own.row !== rows[place]) fillRow(own, rows[place], place);
    }
    for (const own of slots) own.element.hidden = !used.has(own);
    drawn = [first, last];
    markActive();
    onDraw(first, last, top);
  }

  function slot() {
    const own = {
      row: -1,
      fold: h("span", { class: "fold", "aria-hidden": "true" }),
      kind: h("span", { class: "kind" }),
      title: h("bdi", { class: "name" }),
      note: h("bdi", { class: "note" }),
      state: h("span", { class: "sign", "aria-hidden": "true" }),
      word: h("span"),
      took: h("span", { class: "took", role: "gridcell" }),
      used: h("span", { class: "used", role: "gridcell" }),
    };
    own.what = h("span", { class: "what", role: "gridcell" }, own.fold, own.kind, " ", own.title, " ", own.note);
    own.chip = h("span", { class: "state", role: "gridcell" }, own.state, " ", own.word);
    own.element = h("div", { class: "trace-row", role: "row" }, own.what, own.chip, own.took, own.used);
    own.element.style.height = `${ROW}px`;
    rowsBox.append(own.element);
    return own;
  }

  function fillRow(own, row, place) {
    own.row = row;
    const { element: line } = own;
    const depth = model.depth[row];
    line.id = prefix + row;
    line.style.transform = `translateY(${place * ROW}px)`;
    line.setAttribute("aria-level", String(depth + 1));
    line.setAttribute("aria-rowindex", String(place + 1));
    const inside = hasBelow(model, row);
    const isFolded = folded.has(model.columns.key[row]);
    if (inside) line.setAttribute("aria-expanded", String(!isFolded));
    else line.removeAttribute("aria-expanded");
    own.what.style.paddingInlineStart = `${Math.min(depth, DEEPEST) * STEP}px`;
    own.fold.textContent = inside ? (isFolded ? "▸" : "▾") : "";
    const state = text(model, "state", row);
    say(own.kind, depth > DEEPEST ? `${count(depth)}: ${text(model, "kind", row)}` : text(model, "kind", row));
    const title = titleOf(row);
    say(own.title, title);
    own.title.title = title;
    const note = noteOf(row);
    say(own.note, note);
    own.note.title = note;
    say(own.state, sign(state));
    say(own.word, text(model, "word", row));
    own.chip.className = `state is-${state || "none"}`;
    line.classList.toggle("is-wrong", model.trouble[row] === 1);
    line.classList.toggle("is-open", row === opened);
    timeRow(own, row);
    const tokens = model.tokens.get(row);
    say(own.used, tokens ? count(tokens) : "");
    own.used.title = [tokens ? `${count(tokens)} tokens` : "", text(model, "cost", row)].filter(Boolean).join(", ");
  }

  // An agent goes by its name, another piece of work by its own title.
  function titleOf(row) {
    return text(model, "title", row);
  }

  function noteOf(row) {
    const facts = [text(model, "details", row)];
    const ring = text(model, "ring", row);
    if (ring) facts.unshift(`ring ${ring}`);
    if (model.telling.has(row)) facts.push(text(model, "reason", row));
    const own = agent(model, row);
    const around = model.parent[row];
    if (own && text(model, "kind", row) !== "agent" && (around < 0 || model.columns.agent[around] !== model.columns.agent[row])) {
      facts.push(`by ${own.name || own.did}`);
    }
    return facts.filter(Boolean).join(" · ");
  }

  function timeRow(own, row) {
    say(own.took, isPoint(model, row) ? "" : duration(took(model, row, now())));
  }

  /** Let what runs grow. */
  function grow() {
    if (!model || !model.goOn) return;
    for (const own of slots) {
      if (!own.element.hidden && own.row >= 0 && model.running[own.row]) timeRow(own, own.row);
    }
    onDraw(drawn[0], drawn[1], all ? 0 : element.scrollTop);
  }

  function markActive() {
    for (const own of slots) {
      const is = own.row === active && !own.element.hidden;
      own.element.classList.toggle("is-active", is);
      own.element.setAttribute("aria-selected", String(is));
    }
    const place = placeOf(model, rows, active);
    if (place >= drawn[0] && place < drawn[1]) element.setAttribute("aria-activedescendant", prefix + rows[place]);
    else element.removeAttribute("aria-activedescendant");
  }

  function reveal(row) {
    const place = placeOf(model, rows, row);
    if (place < 0) return;
    active = rows[place];
    const [top, high] = [place * ROW, element.clientHeight];
    if (top < element.scrollTop) element.scrollTop = Math.max(0, top - ROW);
    else if (top + ROW > element.scrollTop + high) element.scrollTop = top - high + 2 * ROW;
    draw();
    onActive(active);
  }

  function press(event) {
    if (!model || !rows.length || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const place = Math.max(0, placeOf(model, rows, active));
    const page = Math.max(1, Math.floor(element.clientHeight / ROW) - 1);
    const go = (to) => reveal(rows[Math.min(rows.length - 1, Math.max(0, to))]);
    const does = {
      ArrowDown: () => go(place + 1),
      ArrowUp: () => go(place - 1),
      PageDown: () => go(place + page),
      PageUp: () => go(place - page),
      Home: () => go(0),
      End: () => go(rows.length - 1),
      ArrowRight: () => inward(place),
      ArrowLeft: () => outward(place),
      Enter: () => onOpen(active),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }

  function inward(place) {
    const row = rows[place];
    if (!hasBelow(model, row)) return;
    if (folded.has(model.columns.key[row])) onFold(row, false);
    else if (place + 1 < rows.length) reveal(rows[place + 1]);
  }

  function outward(place) {
    const row = rows[place];
    if (hasBelow(model, row) && !folded.has(model.columns.key[row])) onFold(row, true);
    else if (model.parent[row] >= 0) reveal(model.parent[row]);
  }

  function click(event) {
    const own = slots.find((one) => one.element.contains(event.target));
    if (!own || own.row < 0) return;
    reveal(own.row);
    if (event.target === own.fold && hasBelow(model, own.row)) onFold(own.row, !folded.has(model.columns.key[own.row]));
    else onOpen(own.row);
  }

  /** Show as many rows as fit into `pixels`, for print; 0: those in sight. */
  function whole(pixels) {
    all = pixels;
    draw();
  }

  function close() {
    cancelAnimationFrame(planned);
    watched.disconnect();
  }

  return { element, tall, show, grow, reveal, whole, close, plan, rowAt: (place) => rows[place] };
}
