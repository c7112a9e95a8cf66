// The strip above the list: how many events there were when, what went wrong, and where one looks.

import { h } from "./dom.js";
import { count, time } from "./format.js";

/** How many parts the strip shows. */
export const PARTS = 160;

/** Make the strip. `jump(ordinal)` shows that event. */
export function densityStrip({ jump }) {
  const canvas = h("canvas", {
    class: "density",
    role: "slider",
    tabindex: "0",
    "aria-label": "Events over time: choose a time",
    "aria-valuemin": "0",
    "aria-valuemax": String(PARTS - 1),
    "aria-valuenow": "0",
    "aria-valuetext": "no events",
  });
  let data = null;
  let marker = null; // {from, to}: ordinals on the screen
  let frame = 0;
  const watch = new ResizeObserver(draw);
  watch.observe(canvas);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", draw);

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    choose(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons & 1) choose(event);
    else if (data) canvas.title = told(partAt(event));
  });
  canvas.addEventListener("keydown", (event) => {
    if (!data || data.firsts.length === 0) return;
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    const to = step ? nextFilled(current() + step, Math.sign(step)) : { Home: 0, End: data.firsts.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  });

  function partAt(event) {
    const box = canvas.getBoundingClientRect();
    const share = (event.clientX - box.left) / Math.max(1, box.width);
    return Math.max(0, Math.min(data.firsts.length - 1, Math.floor(share * data.firsts.length)));
  }

  function choose(event) {
    if (data && data.firsts.length) go(partAt(event));
  }

  // A part without events has nothing to jump to that the one before would not show.
  function nextFilled(from, sense) {
    let at = from;
    while (at > 0 && at < data.counts.length - 1 && data.counts[at] === 0) at += sense;
    return Math.max(0, Math.min(data.counts.length - 1, at));
  }

  function go(part) {
    const first = data.firsts[part];
    jump(first);
    // The list says so with its next frame; another key may come before.
    marker = { from: first, to: first + (marker ? marker.to - marker.from : 0) };
    draw();
    tell(part);
  }

  /** The part in which the middle of the screen is. */
  function current() {
    if (!data || !marker) return 0;
    let part = 0;
    while (part + 1 < data.firsts.length && data.firsts[part + 1] <= marker.from) part += 1;
    return part;
  }

  function told(part) {
    const width = (data.ended - data.begun) / data.firsts.length;
    const wrong = data.wrong[part];
    return `${time(Math.round(data.begun + part * width))}: ${count(data.counts[part])} events${wrong ? `, ${count(wrong)} went wrong` : ""}`;
  }

  function tell(part) {
    canvas.setAttribute("aria-valuenow", String(part));
    canvas.setAttribute("aria-valuetext", data?.firsts.length ? told(part) : "no events");
  }

  function draw() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      paint();
    });
  }

  function paint() {
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width || !height) return;
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!data || data.counts.length === 0) return;
    const style = getComputedStyle(canvas);
    const colour = (key) => style.getPropertyValue(key).trim();
    const most = Math.max(1, ...data.counts);
    const step = width / data.counts.length;
    const high = (number) => (number ? Math.max(2, Math.sqrt(number / most) * (height - 2)) : 0);
    context.fillStyle = colour("--accent-ground");
    if (marker) {
      const [left, right] = [share(marker.from), share(marker.to)];
      context.fillRect(left * width, 0, Math.max(3, (right - left) * width), height);
    }
    data.counts.forEach((number, part) => {
      context.fillStyle = colour("--soft");
      context.fillRect(part * step, height - high(number), Math.max(1, step - 1), high(number));
      if (data.wrong[part]) {
        context.fillStyle = colour("--failed");
        context.fillRect(part * step, height - Math.max(4, high(data.wrong[part])), Math.max(2, step - 1), Math.max(4, high(data.wrong[part])));
      }
    });
    if (marker) {
      context.fillStyle = colour("--accent");
      context.fillRect(share(marker.from) * width, 0, Math.max(3, (share(marker.to) - share(marker.from)) * width), 2);
    }
  }

  // Where an ordinal stands, from 0 to 1: within a part, events are taken as even.
  function share(ordinal) {
    const { firsts, next } = data;
    if (ordinal >= next) return 1;
    let part = 0;
    while (part + 1 < firsts.length && firsts[part + 1] <= ordinal) part += 1;
    const end = part + 1 < firsts.length ? firsts[part + 1] : next;
    const within = end > firsts[part] ? (ordinal - firsts[part]) / (end - firsts[part]) : 0;
    return Math.max(0, Math.min(1, (part + Math.min(1, Math.max(0, within))) / firsts.length));
  }

  return {
    element: canvas,
    /** Take the answer of `/api/density`. */
    show(answer) {
      data = answer;
      tell(current());
      draw();
    },
    /** Say which ordinals are on the screen. */
    mark(from, to) {
      if (marker && marker.from === from && marker.to === to) return;
      marker = { from, to };
      tell(current());
      draw();
    },
    close() {
      watch.disconnect();
      scheme.removeEventListener("change", draw);
      cancelAnimationFrame(frame);
    },
  };
}
