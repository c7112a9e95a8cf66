// What is told of one piece of work that a viewer opened: facts, and its events.

import { href } from "./address.js";
import { fill, h, name } from "./dom.js";
import { count, duration, many, moment, time, utc } from "./format.js";
import { agentLink, chip, figures, sessionLink, traceLink } from "./parts.js";
import { valueTree } from "./payload.js";
import { agent, isPoint, nowIn, text, took } from "./trace_model.js";

/** Make the panel; `onClose()` is called when it is closed by its button. */
export function details({ onClose }) {
  const head = h("h2", { tabindex: "-1", id: "trace-opened" });
  const facts = h("div");
  const events = h("div", { class: "trace-events" });
  const closing = h("button", { type: "button", onclick: onClose, title: "Close (Esc)" }, "Close");
  const element = h("aside", { class: "trace-details", "aria-labelledby": "trace-opened", hidden: true }, h("div", { class: "toolbar" }, head, closing), facts, events);
  let shown = null;

  /** Show what is known of a row before its events are there. */
  function show(model, row) {
    const title = text(model, "title", row);
    fill(head, text(model, "kind", row), " ", name(title));
    const own = agent(model, row);
    const link = text(model, "link", row);
    const begun = model.answer.begun + model.begun[row];
    fill(
      facts,
      figures([
        ["state", text(model, "word", row) ? chip(text(model, "state", row), text(model, "word", row)) : "none of its own"],
        ["agent", own ? agentLink(own.did, own.name) : "none"],
        ["ring", text(model, "ring", row)],
        ["began", h("time", { title: utc(begun) }, moment(begun).slice(0, 10), " ", time(begun))],
        ["after", duration(model.begun[row])],
        [model.running[row] ? "runs for" : "took", isPoint(model, row) ? "" : duration(took(model, row, nowIn(model, performance.now())))],
        ["tokens", model.tokens.has(row) ? count(model.tokens.get(row)) : ""],
        ["cost", text(model, "cost", row)],
        ["more", text(model, "details", row) ? h("bdi", {}, text(model, "details", row)) : ""],
        ["called from", link ? traceLink(link) : ""],
      ].filter(([, value]) => value !== "")),
      text(model, "reason", row) ? h("p", { class: `reason is-${text(model, "state", row)}` }, h("bdi", {}, text(model, "reason", row))) : null,
    );
    element.hidden = false;
  }

  /** Show the events of it, an answer of `/api/work`; those that were folded out stay so. */
  function showEvents(work) {
    const ids = work.events.map((one) => one.event.event_id).join();
    const same = `${work.key} ${ids}`;
    if (same === shown) return;
    const open = new Set([...events.querySelectorAll("details[open]")].map((one) => one.dataset.id));
    const first = shown === null || !shown.startsWith(`${work.key} `);
    shown = same;
    fill(
      events,
      h("h3", {}, many(work.events.length + work.left_out, "event")),
      work.left_out ? h("p", { class: "soft" }, `${count(work.left_out)} in the middle are left out`) : null,
      work.events.map((one, place) => eventBox(one, open.has(one.event.event_id) || (first && (place === work.events.length - 1 || work.events.length < 4)))),
    );
  }

  function showError(words) {
    shown = null;
    fill(events, h("p", { class: "error" }, words));
  }

  function hide() {
    element.hidden = true;
    shown = null;
    fill(events);
  }

  return { element, head, show, showEvents, showError, hide };
}

function eventBox(told, open) {
  const { event } = told;
  const us = Math.round(Date.parse(event.timestamp) * 1_000);
  const box = h(
    "details",
    { class: "trace-event", "data-id": event.event_id, open },
    h("summary", {}, h("span", { class: "mono" }, event.event_type), " ", h("time", { class: "soft", title: event.timestamp }, time(us))),
    figures([
      ["event", h("span", { class: "mono" }, event.event_id)],
      ["session", event.session_id ? sessionLink(event.session_id) : ""],
      ["agent", event.agent_did ? agentLink(event.agent_did) : ""],
      ["caused by", event.parent_event_id ? h("span", { class: "mono" }, event.parent_event_id) : ""],
    ].filter(([, value]) => value !== "")),
    told.payload_cut ? h("p", { class: "soft" }, "The payload is cut: it is longer than the page shows.") : null,
    Object.keys(event.payload).length ? h("div", { class: "payload" }, valueTree("payload", event.payload)) : h("p", { class: "soft" }, "no payload"),
  );
  return box;
}

/** The address of the events of a trace in LIVE. */
export function eventsOf(trace) {
  return href([""], { filter: `--trace ${trace}` });
}
