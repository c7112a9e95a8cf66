// AGENTS: a row for each: its ring now, what it works on, its tools, what was refused, what it used.

import { href, quoted } from "./address.js";
import { filterField, follow, frame } from "./board.js";
import { fill, h, name, say } from "./dom.js";
import { count, many, moment, utc } from "./format.js";
import { agentLink, chip, empty, sessionLink, since } from "./parts.js";
import { table } from "./table.js";

export const title = "Agents";
export const styles = ["/boards.css"];
export const help = [
  ["/", "Filter"],
  ["↑ ↓ Home End", "Another agent"],
];

const CHIPS = { running: "running", idle: "", killed: "failed", quarantined: "refused" };
const MOST_TOOLS = 5;

export function open({ root, query, api, keep, connection }) {
  const asked = { filter: query.filter ?? "", sort: query.sort ?? "" };
  let last = null;
  const share = () => keep(asked);
  const field = filterField({
    value: asked.filter,
    label: "Filter by name, DID, state, tool or session",
    onInput(text) {
      asked.filter = text;
      share();
      if (last) draw(last);
    },
  });
  const { body, note } = frame(root, "Agents", h("div", { class: "grow" }, field));
  const shown = table({
    label: "Agents",
    id: (row) => row.did,
    sort: asked.sort || "agent", // an order in which rows stay where they are
    onSort(sort) {
      asked.sort = sort;
      share();
    },
    columns: [
      { key: "agent", title: "Agent", cell: agent, value: (row) => (row.name || row.did).toLowerCase() },
      { key: "state", title: "State", cell: (row) => chip(CHIPS[row.state], row.state), value: (row) => row.state },
      { key: "ring", title: "Ring", cell: ring, value: (row) => row.ring },
      { key: "doing", title: "Works on", cell: doing, value: (row) => row.doing?.[1] ?? null },
      { key: "tools", title: "Tools used", cell: (row) => tools(row.tools), value: (row) => total(row.tools), number: true },
      { key: "failed", title: "Failed", cell: failed, value: (row) => total(row.failed) + row.failed_work, number: true },
      { key: "refused", title: "Refused", cell: (row) => tools(row.refused, "is-failed"), value: (row) => row.refusals, number: true },
      { key: "breaches", title: "Breaches", cell: breaches, value: (row) => row.breaches, number: true },
      { key: "tokens", title: "Tokens", cell: (row) => (row.tokens ? count(row.tokens) : null), value: (row) => row.tokens, number: true },
      { key: "cost", title: "Cost", cell: (row) => row.cost || null, value: (row) => row.spent, number: true },
      { key: "seen", title: "Last seen", cell: (row) => since(row.seen), value: (row) => row.seen, number: true },
    ],
  });
  const board = follow({
    root,
    path: "agents",
    params: () => ({}),
    draw,
    fail: (text) => fill(body, empty("The agents cannot be shown", text)),
    api,
    connection,
  });

  function draw(found) {
    last = found;
    const words = asked.filter.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = found.agents.filter((row) => has(row, words));
    say(note, notes(found, rows));
    if (rows.length === 0) {
      fill(body, nothing(found));
      return;
    }
    if (body.firstElementChild !== shown.element) fill(body, shown.element);
    shown.show(rows);
  }

  function nothing(found) {
    if (found.agents.length) return empty("No agent is like that", `There are ${many(found.agents.length, "agent")}: empty the filter.`);
    return empty("No agent yet", "An agent has a row from the first event that names it, such as session.joined. hvobs demo --journal DIR plays some.");
  }

  return { close: board.close, keys: { ...shown.keys, "/": () => field.focus() } };
}

function notes(found, rows) {
  const parts = [found.agents.length === rows.length ? many(rows.length, "agent") : `${count(rows.length)} of ${many(found.agents.length, "agent")}`];
  if (found.since) parts.push(`counted since ${moment(found.since)}`);
  if (found.left_out) parts.push(`${count(found.left_out)} seen longer ago are left out`);
  return parts.join("; ");
}

function has(row, words) {
  if (words.length === 0) return true;
  const text = [row.name, row.did, row.state, row.session ?? "", row.doing?.[1] ?? "", ...row.tools.map(([tool]) => tool), ...row.refused.map(([tool]) => tool)]
    .join("\n")
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

function agent(row) {
  return h(
    "div",
    { class: "who" },
    agentLink(row.did, row.name),
    row.name ? h("span", { class: "cut soft", title: row.did }, h("bdi", {}, row.did)) : null,
    row.session ? h("span", { class: "cut soft" }, "session ", sessionLink(row.session)) : null,
  );
}

function ring(row) {
  if (row.ring === null && !row.elevated) return null;
  const told = h("div", {}, `ring ${row.ring ?? "?"}`);
  if (!row.elevated) return told;
  told.append(h("span", { class: "cut is-undone" }, "▲ elevated", row.until === null ? null : [", end ", end(row.until)]));
  return told;
}

function end(us) {
  const shown = since(us);
  shown.title = `at the latest at ${moment(us)} (${utc(us)})`;
  return shown;
}

function doing(row) {
  const more = row.more ? h("span", { class: "soft" }, ` and ${count(row.more)} more`) : null;
  if (row.doing) {
    const [kind, what, begun, trace] = row.doing;
    const told = [`${kind} `, name(what || "?")];
    return h("div", {}, trace ? h("a", { href: href(["trace", trace]) }, told) : told, h("span", { class: "cut soft" }, since(begun), more));
  }
  if (row.trace && row.state === "running") return h("a", { href: href(["trace", row.trace]) }, "its own work");
  return row.trace ? h("a", { class: "soft", href: href(["trace", row.trace]) }, "last trace") : null;
}

function total(tools) {
  return tools.reduce((sum, [, times]) => sum + times, 0);
}

function tools(found, mark = null) {
  if (found.length === 0) return null;
  const shown = found.slice(0, MOST_TOOLS).map(([tool, times]) => h("span", { class: "tool" }, name(tool), ` ${count(times)}`));
  const rest = found.length - MOST_TOOLS;
  return h("div", { class: `tools ${mark ?? ""}` }, shown, rest > 0 ? h("span", { class: "soft" }, `and ${count(rest)} more`) : null);
}

function failed(row) {
  const own = row.failed_work ? h("div", { class: "is-failed" }, `own work ${count(row.failed_work)}`) : null;
  const called = tools(row.failed, "is-failed");
  return own && called ? [own, called] : (own ?? called);
}

function breaches(row) {
  if (!row.breaches) return null;
  const filter = `--agent ${quoted(row.did)} --type ring.breach_detected`;
  return h("a", { class: "is-failed", href: href([""], { filter }), title: "the breaches in Live" }, count(row.breaches));
}
