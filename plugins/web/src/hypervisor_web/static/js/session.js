// SESSION: agents by time, with handoffs, files and decisions; without an id, which sessions there are.

import { href, quoted } from "./address.js";
import { follow, frame } from "./board.js";
import { fill, h, say } from "./dom.js";
import { count, duration, many, moment } from "./format.js";
import { chip, empty, figures, sessionLink, since } from "./parts.js";
import { lists } from "./session_lists.js";
import { timeline } from "./session_timeline.js";
import { table } from "./table.js";

export const title = "Session";
export const styles = ["/boards.css"];
export const help = [["+ −", "Time axis wider, narrower"]];

export function open(given) {
  return given.params[0] ? one(given, given.params[0]) : all(given);
}

function all({ root, query, api, go, keep, connection }) {
  const { body, note } = frame(root, "Sessions");
  const shown = table({
    label: "Sessions",
    id: (row) => row.id,
    sort: query.sort ?? "",
    onSort: (sort) => keep({ sort }),
    open: (row) => go(href(["session", row.id])),
    columns: [
      { key: "id", title: "Session", cell: (row) => sessionLink(row.id), value: (row) => row.id },
      { key: "state", title: "State", cell: (row) => stands(row), value: (row) => (row.ended === null ? 0 : 1) },
      { key: "begun", title: "Begun", cell: (row) => since(row.begun), value: (row) => row.begun, number: true },
      { key: "seen", title: "Last seen", cell: (row) => since(row.seen), value: (row) => row.seen, number: true },
      { key: "agents", title: "Agents", cell: (row) => count(row.agents), value: (row) => row.agents, number: true },
      { key: "events", title: "Events", cell: (row) => count(row.events), value: (row) => row.events, number: true },
    ],
  });
  const board = follow({ root, path: "session", params: () => ({}), draw, fail: (text) => say(note, text), api, connection });

  function draw(found) {
    const parts = [many(found.sessions.length, "session")];
    if (found.since) parts.push(`since ${moment(found.since)}`);
    if (found.left_out) parts.push(`${count(found.left_out)} seen longer ago are left out`);
    say(note, parts.join("; "));
    if (found.sessions.length === 0) {
      fill(body, empty("No session yet", "A session is known from the first event that names it: recorder.session(\"order-7\") around the work begins one. hvobs demo --journal DIR plays some.", "What a framework calls a thread, a conversation or its session is the conversation_id of its runs: put it into the filter of Live."));
      return;
    }
    if (body.firstElementChild !== shown.element) fill(body, shown.element);
    shown.show(found.sessions);
  }

  return { close: board.close, keys: shown.keys, help: [["↑ ↓ Home End", "Another session"], ["Enter", "Open the session"]] };
}

function one({ root, query, api, keep, called, connection }, id) {
  const { body, note } = frame(root, "Session");
  const heading = root.querySelector("h1");
  fill(heading, "Session ", h("bdi", {}, id));
  called(id);
  const parts = { head: h("div"), lists: h("div") };
  const drawn = timeline({ zoom: Number(query.zoom) || 1, onZoom: (zoom) => keep({ zoom: zoom === 1 ? "" : zoom }) });
  const board = follow({ root, path: "session", params: () => ({ id }), draw, fail, api, connection });

  function fail(text) {
    say(note, "");
    fill(body, empty("There is no such session here", text), h("p", {}, h("a", { href: href(["session"]) }, "All sessions")));
  }

  function draw(found) {
    say(note, notes(found));
    if (!body.contains(parts.head)) fill(body, parts.head, drawn.element, parts.lists);
    fill(
      parts.head,
      figures([
        ["state", stands(found)],
        ["began", since(found.begun)],
        ["took", duration((found.ended ?? found.seen) - found.begun)],
        ["agents", count(found.agents.length)],
        ["events", count(found.events)],
        ["all of them", h("a", { href: href([""], { filter: `--session ${quoted(id)}` }) }, "in Live")],
      ]),
    );
    drawn.show(found);
    fill(parts.lists, lists(found));
  }

  return {
    close() {
      board.close();
      drawn.close();
    },
    keys: { "+": () => drawn.zoomBy(2), "-": () => drawn.zoomBy(0.5) },
  };
}

function stands(session) {
  return session.ended === null ? chip("running", "open") : chip("ok", "ended");
}

function notes(found) {
  const parts = [];
  if (!found.whole) parts.push(`told from its newest ${count(found.events)} events`);
  if (found.agents_left_out) parts.push(`${many(found.agents_left_out, "event")} of further agents are left out`);
  if (found.work_left_out) parts.push(`${count(found.work_left_out)} older pieces of work are left out`);
  if (found.marks_left_out) parts.push(`${count(found.marks_left_out)} older handoffs, files and decisions are left out`);
  return parts.join("; ");
}
