// The time axis of a trace: the bars beside the rows in sight, and a map of the whole above them.

import { h, set } from "./dom.js";
import { duration } from "./format.js";
import { bins, boxOf, moved, ticks, tickText, usOf, windowOf, xOf, zoomed } from "./layout.js";
import { isPoint, text } from "./trace_model.js";
import { ROW } from "./tree_list.js";

const MAP_HIGH = 34;
const AXIS_HIGH = 18;
const MAP_US = 250_000; // how often the map of a trace that runs is drawn again
const NARROW = 640; // pixels of the window, as in trace.css: bars lie below the names there
const COLOURS = ["ground", "raised", "ink", "soft", "line", "accent", "ok", "failed", "running", "undone", "refused", "cancelled"];

/**
 * Make the axis. `onZoom(zoom)` is asked for another window, `onPick(row)` for a row whose line was
 * clicked, `onPlan()` for a drawing.
 */
export function waterfall({ onZoom, onPlan, onPick }) {
  const bars = h("canvas", { class: "trace-bars", "aria-hidden": "true" });
  const map = h("canvas", { class: "trace-map", "aria-hidden": "true" });
  let model = null;
  let zoom = null;
  let now = () => 0;
  let colours = null;
  let drawn = null; // {rows, top}
  let mapped = "";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const recolour = () => {
    colours = null;
    onPlan();
  };
  dark.addEventListener("change", recolour);
  drag(bars, (from, to, y) => {
    if (to - from > 4) onZoom({ from: usOf(from, shown(), bars.clientWidth), to: usOf(to, shown(), bars.clientWidth) });
    else pick(y);
  });
  drag(map, (from, to) => {
    const all = windowOf(null, total());
    const [begin, end] = [usOf(from, all, map.clientWidth), usOf(to, all, map.clientWidth)];
    if (to - from > 4) onZoom({ from: begin, to: end });
    else if (zoom) onZoom(moved(shown(), total(), (begin - (zoom.from + zoom.to) / 2) / (zoom.to - zoom.from)));
  });
  bars.addEventListener("wheel", wheel, { passive: false });
  map.addEventListener("wheel", wheel, { passive: false });

  function total() {
    return Math.max(1, model.goOn ? Math.max(now(), model.last) : model.last);
  }

  function shown() {
    return windowOf(zoom, total());
  }

  function show(next) {
    ({ model, zoom, now } = next);
  }

  /** Draw the rows `first` to before `last` of `rows`, and the map. */
  function draw(rows, first, last, top, high) {
    if (!model) return;
    colours ??= read();
    const width = bars.clientWidth;
    const pen = ready(bars, width, high);
    const window = shown();
    const present = now();
    const low = innerWidth <= NARROW;
    if (!low) grid(pen, window, width, high);
    drawn = { rows, top };
    for (let place = first; place < last; place += 1) {
      const row = rows[place];
      const running = model.running[row] === 1;
      const [begun, ended] = [model.begun[row], running ? present : model.ended[row]];
      const box = boxOf({ begun, ended, running, isPoint: isPoint(model, row) }, window, width);
      if (!box) continue;
      const [y, tall] = low ? [ROW - 5, 4] : [6, ROW - 12];
      Object.assign(box, { row, y: place * ROW - top + y, h: tall, state: text(model, "state", row), kind: text(model, "kind", row) });
      paint(pen, box, low ? "" : duration(ended - begun), width);
    }
    // A scroll leaves the map as it is.
    const state = [window.from, window.to, map.clientWidth, devicePixelRatio, colours.ground, model.at, model.goOn && Math.floor(present / MAP_US)].join();
    if (state === mapped) return;
    mapped = state;
    drawMap(window, present);
  }

  function paint(pen, box, words, width) {
    const colour = colours[box.state] ?? colours.soft;
    pen.fillStyle = colour;
    pen.strokeStyle = colour;
    const middle = box.y + box.h / 2;
    if (box.shape === "point") {
      pen.beginPath();
      pen.moveTo(box.x, middle);
      pen.lineTo(box.x + box.w / 2, middle - box.w / 2);
      pen.lineTo(box.x + box.w, middle);
      pen.lineTo(box.x + box.w / 2, middle + box.w / 2);
      pen.closePath();
      if (box.state === "refused") pen.fill();
      else pen.stroke();
      return;
    }
    if (box.state === "undone" || box.state === "cancelled" || box.state === "") pen.strokeRect(box.x + 0.5, box.y + 0.5, Math.max(1, box.w - 1), box.h - 1);
    else pen.fillRect(box.x, box.y, box.w, box.h);
    if (box.state === "failed" && box.w > 6 && box.h > 6) hatch(pen, box);
    if (box.open) arrow(pen, box.x + box.w, middle, box.h / 2);
    if (!words) return;
    pen.fillStyle = colours.soft;
    const long = pen.measureText(words).width;
    if (box.x + box.w + 8 + long < width) pen.fillText(words, box.x + box.w + 6, middle + 4);
    else if (box.x > long + 8) pen.fillText(words, box.x - long - 6, middle + 4);
  }

  // What failed differs from the rest without its colour, too.
  function hatch(pen, box) {
    pen.save();
    pen.beginPath();
    pen.rect(box.x, box.y, box.w, box.h);
    pen.clip();
    pen.strokeStyle = colours.ground;
    pen.lineWidth = 1.5;
    pen.beginPath();
    const last = Math.min(box.x + box.w, box.x + 4_000) + box.h;
    for (let x = box.x; x < last; x += 7) {
      pen.moveTo(x, box.y);
      pen.lineTo(x - box.h, box.y + box.h);
    }
    pen.stroke();
    pen.restore();
  }

  function arrow(pen, x, y, half) {
    pen.beginPath();
    pen.moveTo(x - half, y - half - 2);
    pen.lineTo(x + 1, y);
    pen.lineTo(x - half, y + half + 2);
    pen.lineWidth = 1.5;
    pen.stroke();
    pen.lineWidth = 1;
  }

  function grid(pen, window, width, high) {
    const { first, step } = ticks(window, width);
    pen.strokeStyle = colours.line;
    pen.beginPath();
    for (let us = first; us <= window.to; us += step) {
      const x = Math.round(xOf(us, window, width)) + 0.5;
      pen.moveTo(x, 0);
      pen.lineTo(x, high);
    }
    pen.stroke();
  }

  function drawMap(window, present) {
    const width = map.clientWidth;
    const pen = ready(map, width, MAP_HIGH);
    const whole = total();
    const parts = Math.max(1, Math.min(600, Math.floor(width / 2)));
    const { busy, most, wrong } = bins(model, whole, present, parts);
    const each = width / parts;
    const high = MAP_HIGH - AXIS_HIGH;
    for (let bin = 0; bin < parts; bin += 1) {
      pen.fillStyle = wrong[bin] ? colours.failed : colours.soft;
      const tall = busy[bin] ? Math.max(1, (busy[bin] / most) * (high - 4)) : 0;
      pen.fillRect(bin * each, high - tall, Math.max(1, each - 0.5), tall);
      if (wrong[bin]) pen.fillRect(bin * each, 0, 2, high);
    }
    const all = windowOf(null, whole);
    if (zoom) {
      pen.strokeStyle = colours.accent;
      pen.lineWidth = 2;
      const [from, to] = [xOf(window.from, all, width), xOf(window.to, all, width)];
      pen.strokeRect(from + 1, 1, Math.max(2, to - from - 2), high - 2);
      pen.lineWidth = 1;
    }
    const { first, step } = ticks(window, width);
    pen.fillStyle = colours.soft;
    for (let us = first; us <= window.to; us += step) {
      const [words, x] = [tickText(us, step), xOf(us, window, width)];
      const long = pen.measureText(words).width;
      if (x + long + 3 < width) pen.fillText(words, x + 3, MAP_HIGH - 5);
    }
  }

  function pick(y) {
    const row = drawn?.rows[Math.floor((y + drawn.top) / ROW)];
    if (row !== undefined) onPick(row);
  }

  function wheel(event) {
    if (!model || !(event.ctrlKey || event.metaKey)) return; // else it scrolls
    event.preventDefault();
    const about = usOf(event.offsetX, event.currentTarget === map ? windowOf(null, total()) : shown(), event.currentTarget.clientWidth);
    onZoom(zoomed(shown(), total(), event.deltaY < 0 ? 1.25 : 0.8, about));
  }

  function drag(canvas, onDone) {
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (!model || event.button !== 0) return;
      from = event.offsetX;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const [begin, end] = [Math.min(from, event.offsetX), Math.max(from, event.offsetX)];
      from = null;
      onDone(begin, end, event.offsetY);
    });
    canvas.addEventListener("pointercancel", () => {
      from = null;
    });
  }

  /** Zoom around the middle, or around a row that is given: above 1 is closer. */
  function zoomBy(factor, row = -1) {
    const window = shown();
    const about = row >= 0 ? Math.min(window.to, Math.max(window.from, model.begun[row])) : (window.from + window.to) / 2;
    onZoom(zoomed(window, total(), factor, about));
  }

  function moveBy(share) {
    if (zoom) onZoom(moved(shown(), total(), share));
  }

  function read() {
    const style = getComputedStyle(document.documentElement);
    const found = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    return { ...found, erased: found.cancelled };
  }

  function close() {
    dark.removeEventListener("change", recolour);
  }

  return { bars, map, show, draw, zoomBy, moveBy, close };
}

/** Make a canvas as sharp as the screen is, and empty. */
function ready(canvas, width, high) {
  const scale = devicePixelRatio || 1;
  const [wide, tall] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(high * scale))];
  if (canvas.width !== wide || canvas.height !== tall) {
    set(canvas, { width: wide, height: tall });
    canvas.style.height = `${high}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, high);
  pen.font = "11px system-ui, sans-serif";
  pen.lineWidth = 1;
  return pen;
}
