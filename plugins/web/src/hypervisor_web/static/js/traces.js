// TRACES: the newest, those that run, those that failed.

import { href } from "./address.js";
import { elapsed, filterField, follow, frame } from "./board.js";
import { fill, h, name, say } from "./dom.js";
import { count, duration, many, moment } from "./format.js";
import { agentLink, chip, empty, since } from "./parts.js";
import { table } from "./table.js";

export const title = "Traces";
export const styles = ["/boards.css"];
export const help = [
  ["/", "Filter"],
  ["f", "Next trace that failed"],
  ["↑ ↓ Home End", "Another trace"],
  ["Enter", "Open the trace"],
];

const STATES = { ok: "ok", failed: "failed", running: "running", cancelled: "cancelled", expired: "cancelled", erased: "erased" };

export function open({ root, query, api, go, keep, announce, connection }) {
  const asked = { state: query.state ?? "", filter: query.filter ?? "", sort: query.sort ?? "" };
  const share = () => keep(asked);

  const states = ["", "running", "failed"].map((state) =>
    h("button", { type: "button", "data-state": state, "aria-pressed": String(asked.state === state), onclick: () => choose(state) }, state || "all"),
  );
  const field = filterField({
    value: asked.filter,
    label: "Filter by root, agent, outcome or id",
    onInput(text) {
      asked.filter = text;
      share();
      board.again();
    },
  });
  const { body, note } = frame(root, "Traces", h("div", { class: "grow" }, field), h("div", { class: "toolbar", role: "group", "aria-label": "Which traces" }, states));

  const shown = table({
    label: "Traces",
    id: (row) => row.id,
    sort: asked.sort,
    onSort(sort) {
      asked.sort = sort;
      share();
    },
    open: (row) => go(href(["trace", row.id])),
    columns: [
      { key: "outcome", title: "Outcome", cell: (row) => outcome(row), value: (row) => row.outcome },
      { key: "root", title: "Root", cell: rootCell, value: (row) => row.title },
      { key: "agents", title: "Agents", cell: agents, value: (row) => row.agents.length + row.more_agents },
      { key: "begun", title: "Begun", cell: (row) => since(row.begun), value: (row) => row.begun, number: true },
      { key: "took", title: "Took", cell: took, value: (row) => row.seen - row.begun, number: true },
      { key: "tokens", title: "Tokens", cell: (row) => (row.tokens ? count(row.tokens) : null), value: (row) => row.tokens, number: true },
      { key: "cost", title: "Cost", cell: (row) => row.cost || null, value: (row) => row.spent, number: true },
      { key: "breaches", title: "Breaches", cell: (row) => bad(row.breaches), value: (row) => row.breaches, number: true },
      { key: "refusals", title: "Refusals", cell: (row) => bad(row.refusals), value: (row) => row.refusals, number: true },
      { key: "events", title: "Events", cell: (row) => count(row.events), value: (row) => row.events, number: true },
    ],
  });

  const board = follow({
    root,
    path: "traces",
    params: () => ({ state: asked.state || null, filter: asked.filter || null, count: 1000 }),
    draw,
    fail: (text) => fill(body, empty("The traces cannot be shown", text)),
    api,
    connection,
  });

  function choose(state) {
    asked.state = state;
    for (const one of states) one.setAttribute("aria-pressed", String(one.dataset.state === state));
    share();
    board.again();
  }

  function draw(found) {
    const totals = { "": found.all, running: found.running, failed: found.failed };
    for (const one of states) say(one, `${one.dataset.state || "all"} ${count(totals[one.dataset.state])}`);
    say(note, notes(found));
    if (found.traces.length === 0) {
      fill(body, nothing(found));
      return;
    }
    if (body.firstElementChild !== shown.element) fill(body, shown.element);
    shown.show(found.traces);
  }

  function nothing(found) {
    if (asked.filter || asked.state) return empty("No trace is like that", `There are ${many(found.all, "trace")}: choose “all”, and empty the filter.`);
    return empty("No trace yet", "A trace begins with the first agent, run or saga that is recorded. hvobs demo --journal DIR plays some.");
  }

  function nextFailure() {
    const rows = [...body.querySelectorAll("tbody tr")];
    const failed = rows.filter((one) => one.querySelector(".chip.failed"));
    const at = rows.indexOf(document.activeElement?.closest("tr"));
    const next = failed.find((one) => rows.indexOf(one) > at) ?? failed[0];
    if (next) next.focus();
    else announce("no trace failed");
  }

  return {
    close: board.close,
    keys: { ...shown.keys, "/": () => field.focus(), f: nextFailure },
  };
}

function notes(found) {
  const parts = [];
  if (found.since) parts.push(`since ${moment(found.since)}`);
  if (found.found > found.traces.length) parts.push(`the newest ${count(found.traces.length)} of ${count(found.found)}`);
  if (found.left_out) parts.push(`${count(found.left_out)} older ones are left out`);
  return parts.join("; ");
}

function outcome(row) {
  const told = row.outcome || "no work";
  const chips = [chip(STATES[row.outcome] ?? "", told)];
  if (row.running && row.outcome !== "running") chips.push(" ", chip("running", "running"));
  return h("span", { class: "chips", title: row.reason || null }, chips);
}

function rootCell(row) {
  return h(
    "div",
    { class: "root" },
    h("a", { href: href(["trace", row.id]), title: `trace ${row.short}` }, row.kind && row.title ? `${row.kind} ` : null, name(row.title || row.short)),
    row.reason ? h("span", { class: "cut soft", title: row.reason }, h("bdi", {}, row.reason)) : null,
  );
}

function agents(row) {
  const links = row.agents.slice(0, 4).map(([did, shown]) => agentLink(did, shown));
  const more = row.agents.length - links.length + row.more_agents;
  return h("div", { class: "names" }, links, more > 0 ? h("span", { class: "soft" }, `and ${count(more)} more`) : null);
}

function took(row) {
  return row.running ? elapsed(row.begun) : duration(row.seen - row.begun);
}

function bad(number) {
  return number ? h("strong", { class: "is-failed" }, count(number)) : null;
}
