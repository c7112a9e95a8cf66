// A session drawn: a line for each agent, its work as bars, what happened as marks, handoffs as arrows.

import { fill, h } from "./dom.js";
import { duration, many, now } from "./format.js";
import { agentLink } from "./parts.js";

const LINE = 30; // height of an agent's line, in pixels; boards.css has it too
const HEAD = 22; // above the first line: the times
const MOST_WIDTH = 16_000;
const COLOURS = {
  ok: "--ok",
  committed: "--ok",
  running: "--running",
  error: "--failed",
  failed: "--failed",
  killed: "--failed",
  blocked: "--refused",
};

/** Give `{element, show(session), zoomBy(factor), close()}`. */
export function timeline({ zoom, onZoom }) {
  const canvas = h("canvas", { role: "img" });
  const names = h("div", { class: "timeline-names" });
  const scroll = h("div", { class: "timeline-scroll", tabindex: "0", role: "region", "aria-label": "Agents by time" }, canvas);
  const wider = h("button", { type: "button", onclick: () => zoomBy(2), title: "Wider (+)" }, "Wider");
  const narrower = h("button", { type: "button", onclick: () => zoomBy(0.5), title: "Narrower (-)" }, "Narrower");
  const element = h(
    "div",
    {},
    h("div", { class: "toolbar" }, legend(), wider, narrower),
    h("div", { class: "timeline" }, names, scroll),
  );
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const sizes = new ResizeObserver(() => draw());
  let session = null;
  let namesOf = "";
  let timer = null;
  sizes.observe(scroll);
  dark.addEventListener("change", draw);

  function zoomBy(factor) {
    zoom = Math.min(64, Math.max(1, zoom * factor));
    onZoom(zoom);
    draw();
  }

  function show(found) {
    session = found;
    const text = JSON.stringify(found.agents);
    if (text !== namesOf) {
      namesOf = text;
      fill(names, found.agents.map(([did, shown]) => h("div", {}, agentLink(did, shown))));
    }
    canvas.setAttribute("aria-label", words(found));
    clearInterval(timer);
    timer = found.work.some(([, , , , ended]) => ended === null) ? setInterval(draw, 1_000) : null;
    draw();
  }

  function draw() {
    narrower.disabled = zoom <= 1;
    if (!session || !scroll.clientWidth) return;
    const width = Math.min(MOST_WIDTH, Math.floor(scroll.clientWidth * zoom));
    const height = HEAD + LINE * session.agents.length;
    const sharp = Math.min(window.devicePixelRatio || 1, MOST_WIDTH / width);
    canvas.width = width * sharp;
    canvas.height = height * sharp;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(sharp, sharp);
    paint(pen, width, height);
  }

  function paint(pen, width, height) {
    const style = getComputedStyle(element);
    const colour = (variable) => style.getPropertyValue(variable).trim();
    const isOpen = session.work.some(([, , , , ended]) => ended === null);
    const last = isOpen && session.ended === null ? Math.max(session.seen, now()) : session.seen;
    const span = Math.max(1, last - session.begun);
    const at = (us) => 4 + ((us - session.begun) / span) * (width - 8);
    const middle = (agent) => HEAD + LINE * agent + LINE / 2;
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";

    pen.strokeStyle = colour("--line");
    pen.fillStyle = colour("--soft");
    for (const share of marksOf(width)) {
      const x = 4 + share * (width - 8);
      line(pen, x, HEAD - 4, x, height);
      pen.textAlign = share === 1 ? "right" : share === 0 ? "left" : "center";
      pen.fillText(duration(span * share), x, HEAD / 2);
    }
    pen.textAlign = "left";
    for (const [agent, kind, , begun, ended, word] of session.work) {
      const x = at(begun);
      const wide = Math.max(2, at(ended ?? last) - x);
      const whole = kind === "agent";
      pen.fillStyle = colour(COLOURS[word] ?? "--cancelled");
      pen.globalAlpha = whole ? 0.25 : 0.9;
      pen.fillRect(x, middle(agent) - (whole ? 11 : 5), wide, whole ? 22 : 10);
    }
    pen.globalAlpha = 1;
    for (const [kind, us, agent, , , taker, trouble] of session.marks) {
      const x = at(us);
      pen.strokeStyle = pen.fillStyle = colour(trouble ? "--failed" : "--ink");
      if (kind === "handoff" && agent >= 0 && taker >= 0) arrow(pen, x, middle(agent), middle(taker));
      else if (agent >= 0) diamond(pen, x, middle(agent), kind === "file" ? 3 : 4, trouble === 1);
    }
  }

  return {
    element,
    show,
    zoomBy,
    close() {
      clearInterval(timer);
      sizes.disconnect();
      dark.removeEventListener("change", draw);
    },
  };
}

function marksOf(width) {
  const parts = Math.max(1, Math.min(40, Math.floor(width / 160)));
  return Array.from({ length: parts + 1 }, (_, index) => index / parts);
}

function line(pen, x, y, toX, toY) {
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(toX, toY);
  pen.stroke();
}

function arrow(pen, x, from, to) {
  const sense = Math.sign(to - from) || 1;
  line(pen, x, from, x, to);
  pen.beginPath();
  pen.moveTo(x, to);
  pen.lineTo(x - 4, to - 7 * sense);
  pen.lineTo(x + 4, to - 7 * sense);
  pen.fill();
}

function diamond(pen, x, y, size, filled) {
  pen.beginPath();
  pen.moveTo(x, y - size);
  pen.lineTo(x + size, y);
  pen.lineTo(x, y + size);
  pen.lineTo(x - size, y);
  pen.closePath();
  if (filled) pen.fill();
  else pen.stroke();
}

function legend() {
  return h(
    "p",
    { class: "legend grow" },
    "wide bars: agents at work; narrow bars: tools, models, steps; ↓ handoff; ◇ file or decision; ◆ something went wrong",
  );
}

function words(found) {
  const handoffs = found.marks.filter(([kind]) => kind === "handoff").length;
  return `${many(found.agents.length, "agent")}, ${many(found.work.length, "piece")} of work, ${many(handoffs, "handoff")}, over ${duration(found.seen - found.begun)}; listed below`;
}
