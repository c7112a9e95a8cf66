// One event, opened: its fields, its payload, and where it leads.

import { quoted } from "./address.js";
import { fill, h, name } from "./dom.js";
import { moment, time, utc } from "./format.js";
import { agentLink, sessionLink, traceLink } from "./parts.js";
import { valueTree } from "./payload.js";

/**
 * Make the panel. `fetchEvent(position, signal)` resolves to the answer of `/api/event`; `onClose()`;
 * `narrow(option, value)` narrows the filter.
 */
export function eventPanel({ fetchEvent, onClose, narrow, announce }) {
  const body = h("div", { class: "body" });
  const title = h("h2", { id: "event-title", class: "cut" }, "Event");
  const copy = h("button", { type: "button", title: "Copy the event as JSON" }, "Copy");
  const close = h("button", { type: "button", title: "Close (Esc)", onclick: () => onClose() }, "Close");
  const element = h("aside", { class: "panel", "aria-labelledby": "event-title", hidden: true, tabindex: "-1" }, h("div", { class: "toolbar" }, title, copy, close), body);
  let asked = null;
  let shown = null; // the row
  let whole = null; // the event
  copy.addEventListener("click", copyEvent);

  async function open(row) {
    element.hidden = false;
    if (shown && shown[0] === row[0] && row[0] !== null) return;
    shown = row;
    whole = null;
    copy.disabled = true;
    asked?.abort();
    fill(title, name(row[2]));
    fill(body, facts(row, null));
    if (row[0] === null) {
      body.append(h("p", { class: "soft" }, "It is older than what the page holds. The whole event: ", h("code", {}, `hvobs query --until ${quoted(utcArgument(row[1]))} --limit 1 --json`)));
      return;
    }
    asked = new AbortController();
    const own = asked;
    try {
      const answer = await fetchEvent(row[0], own.signal);
      if (own !== asked || own.signal.aborted) return;
      whole = answer.event;
      copy.disabled = false;
      show(row, answer);
    } catch (error) {
      if (own.signal.aborted) return;
      body.append(h("p", { class: "error", role: "alert" }, error.status === 404 ? "The event has left the page's ring. The journal may still have it: hvobs query." : error.message));
    }
  }

  function show(row, { event, run, sequence, payload_cut: isCut }) {
    const { payload, ...rest } = event;
    fill(
      body,
      facts(row, { ...rest, ...(run ? { run, sequence } : {}) }),
      h("h3", {}, "Payload"),
      isCut ? h("p", { class: "soft" }, "It is larger than the page takes: this is its beginning.") : null,
      payload && typeof payload === "object" && Object.keys(payload).length === 0 ? h("p", { class: "soft" }, "empty") : h("div", { class: "payload" }, valueTree("payload", payload ?? null)),
    );
  }

  function facts(row, event) {
    const [, us, type, did, agent, session, trace] = row;
    const pairs = [
      ["Time", h("time", { title: utc(us) }, `${moment(us).slice(0, 10)} ${time(us)}`)],
      ["UTC", utc(us)],
      ["Type", only("--type", type, name(type))],
      did ? ["Agent", [agentLink(did, agent || did), agent && agent !== did ? [" ", h("bdi", { class: "soft mono" }, did)] : null]] : null,
      session ? ["Session", [sessionLink(session), " ", only("--session", session, "filter")]] : null,
      trace ? ["Trace", [traceLink(trace), " ", only("--trace", trace, "filter")]] : null,
      ...Object.entries(event ?? {})
        .filter(([key, value]) => value !== null && !["timestamp", "event_type", "agent_did", "session_id"].includes(key))
        .map(([key, value]) => [key.replaceAll("_", " "), h("bdi", { class: "mono" }, typeof value === "string" ? value : JSON.stringify(value))]),
    ];
    return h("dl", { class: "facts" }, pairs.filter(Boolean).map(([what, value]) => [h("dt", {}, what), h("dd", {}, value)]));
  }

  function only(option, value, shownAs) {
    return h("button", { type: "button", class: "quiet link", title: "Show only these", onclick: () => narrow(option, quoted(value)) }, shownAs);
  }

  async function copyEvent() {
    if (!whole) return;
    try {
      await navigator.clipboard.writeText(JSON.stringify(whole, null, 2));
      announce("The event is copied.");
    } catch {
      announce("The browser does not let the page copy.");
    }
  }

  return {
    element,
    open,
    /** Forget what is shown. */
    hide() {
      asked?.abort();
      shown = null;
      element.hidden = true;
    },
    get isOpen() {
      return !element.hidden;
    },
  };
}

// A moment as commands take it, to the microsecond.
function utcArgument(us) {
  return utc(us).replace(" ", "T").replace(" UTC", "Z");
}
