// HEALTH: what became of the events: each plugin of each process, the journal, the page itself.

import { follow, frame, keyed } from "./board.js";
import { fill, h, name, say } from "./dom.js";
import { bytes, count, many } from "./format.js";
import { chip, figures, since } from "./parts.js";
import { table } from "./table.js";

export const title = "Health";
export const styles = ["/boards.css"];

const PROCESS = { running: ["ok", "running"], stopped: ["", "stopped"], silent: ["failed", "writes no more"], new: ["", "new"] };

export function open({ root, api, connection }) {
  const { body, note } = frame(root, "Health");
  const problems = h("div", { class: "health-problems" });
  const notices = h("div", { class: "health-notices" });
  const processes = h("div", { class: "processes" });
  const history = h("section", { class: "process", "aria-label": "What is recorded" });
  const page = h("section", { class: "process", "aria-label": "This page" });
  fill(body, problems, notices, history, processes, page);
  const tables = new Map(); // by process: a table keeps its rows, the focus and the sort

  const board = follow({
    root,
    path: "health",
    params: () => ({}),
    draw,
    fail: (text) => say(note, text),
    api,
    connection,
  });

  function draw(found) {
    const running = found.processes.filter((one) => one.state === "running").length;
    say(note, found.processes.length ? `${many(found.processes.length, "process", "processes")}, ${count(running)} running` : "");
    keyed(problems, found.problems.length ? [found.problems] : [], () => "problems", problemList);
    fill(notices, found.notices.map((text) => h("p", { class: "notice" }, text)));
    for (const key of tables.keys()) if (!found.processes.some((one) => id(one) === key)) tables.delete(key);
    keyed(processes, found.processes, id, (one) => process(one, tables));
    history.hidden = !found.history;
    keyed(history, found.history ? [found.history] : [], () => "history", historyElement);
    keyed(page, [found.page], () => "page", pageElement);
    page.hidden = Object.keys(found.page).length === 0;
  }

  return { close: board.close, keys: {} };
}

function problemList(found) {
  return h("section", { class: "process", "aria-label": "Problems" }, h("h2", { class: "is-failed" }, "✗ ", many(found.length, "problem")), h("ul", {}, found.map((text) => h("li", {}, h("bdi", {}, text)))));
}

function id(process) {
  return `${process.pid} ${process.started}`;
}

function process(one, tables) {
  const [state, words] = PROCESS[one.state] ?? ["failed", one.state];
  const key = id(one);
  if (!tables.has(key)) tables.set(key, pluginTable(key));
  const plugins = tables.get(key);
  plugins.show(one.plugins);
  const heading = one.pid === null ? "This process" : `Process ${one.pid}`;
  return h(
    "section",
    { class: "process", "aria-label": heading },
    h("h2", {}, heading, " ", chip(state, words)),
    figures(
      [
        ["service", one.service && name(one.service)],
        ["role", one.role],
        ["release", one.release],
        ["started", one.started && since(one.started)],
        ["last wrote", one.written && one.state !== "running" && since(one.written)],
        ["emitted", many(one.emitted, "event")],
      ].filter(([, value]) => value),
    ),
    one.plugins.length ? plugins.element : h("p", { class: "soft" }, "no plugins"),
    one.store ? store(one.store) : h("p", { class: "soft" }, "It keeps no journal: what memory gives up is gone. Turn one on with [plugins.journal]."),
    one.sources.length ? sources(one.sources) : null,
  );
}

function pluginTable(key) {
  const number = (column, heading) => ({
    key: column,
    title: heading,
    cell: (row) => count(row[column]),
    value: (row) => row[column],
    number: true,
  });
  return table({
    label: `Plugins, ${key}`,
    id: (row) => row.name,
    columns: [
      { key: "name", title: "Plugin", cell: (row) => name(row.name), value: (row) => row.name },
      { key: "state", title: "State", cell: (row) => stateChip(row.state), value: (row) => row.state },
      { key: "breaker", title: "Breaker", cell: breaker, value: (row) => row.breaker ?? "" },
      number("emitted", "Emitted"),
      number("delivered", "Delivered"),
      number("waiting", "Waiting"),
      { ...number("rejected", "Rejected"), cell: (row) => bad(row.rejected) },
      { key: "dropped", title: "Dropped", cell: dropped, value: (row) => row.dropped.reduce((sum, [, one]) => sum + one, 0), number: true },
    ],
  });
}

function stateChip(state) {
  if (state.startsWith("down")) return h("span", { title: state }, chip("failed", state));
  return chip(state === "running" ? "ok" : "", state);
}

function breaker(row) {
  if (row.breaker === null) return "–";
  return row.breaker === "closed" ? "closed" : chip("failed", row.breaker.replace("_", "-"));
}

function bad(number) {
  return number ? h("strong", { class: "is-failed" }, count(number)) : "0";
}

function dropped(row) {
  if (row.dropped.length === 0) return "0";
  return h("div", { class: "is-failed" }, row.dropped.map(([reason, events]) => h("div", {}, `${count(events)} ${reason.replaceAll("_", " ")}`)));
}

function store(one) {
  const down = String(one.state ?? "").startsWith("down");
  const [state, words] = down ? ["failed", one.state] : one.degraded ? ["failed", "degraded: events are not kept at present"] : ["ok", "keeps events"];
  return h(
    "div",
    { class: "store" },
    h("h3", {}, name(one.name || "store"), " ", chip(state, words)),
    figures(
      [
        ["directory", one.directory && h("bdi", { class: "mono" }, one.directory)],
        ["run", one.run && h("bdi", { class: "mono" }, one.run)],
        ["size", one.bytes !== null && bytes(one.bytes)],
        ["events of this run", one.events !== null && count(one.events)],
        ["lost", one.lost !== null && bad(one.lost)],
        ["unsynced", one.unsynced_seconds !== null && unsynced(one.unsynced_seconds)],
        ["proven until", proven(one)],
      ].filter(([, value]) => value !== false && value !== null && value !== undefined && value !== ""),
    ),
  );
}

function historyElement(one) {
  const recording = one.living === null ? null : one.living ? `${many(one.living, "process", "processes")} now` : "no process at present";
  return h(
    "div",
    {},
    h("h2", {}, "What is recorded"),
    figures(
      [
        ["place", h("bdi", { class: "mono" }, one.place)],
        ["recorded by", recording],
        ["runs", one.runs !== null && count(one.runs)],
        ["events", one.events !== null && count(one.events)],
        ["size", one.bytes !== null && bytes(one.bytes)],
        ["proven until", one.runs !== null && provenUntil(one)],
      ].filter(([, value]) => value !== false && value !== null),
    ),
    one.problems.length ? h("ul", { class: "is-failed" }, one.problems.map((text) => h("li", {}, "✗ ", h("bdi", {}, text)))) : null,
  );
}

function provenUntil(one) {
  if (one.proven === null) return "no anchor was found in it";
  return h("span", {}, since(one.proven), ` (${many(one.proven_events, "event")} of run `, h("bdi", { class: "mono" }, one.proven_run), ")");
}

function unsynced(seconds) {
  return seconds === 0 ? "nothing" : `for ${seconds.toFixed(2)} s`;
}

function proven(one) {
  if (one.proven === null) return "not yet: no anchor was made";
  const events = one.proven_events === null ? null : ` (${many(one.proven_events, "event")} of this run)`;
  return h("span", {}, since(one.proven), events);
}

function sources(found) {
  return h(
    "div",
    { class: "sources" },
    h("h3", {}, "Sources"),
    h("ul", {}, found.map((one) => h("li", {}, name(one.name), " ", stateChip(one.state), one.errors ? [" ", h("strong", { class: "is-failed" }, many(one.errors, "error"))] : null))),
  );
}

function pageElement(page) {
  const pairs = Object.entries(page).map(([what, value]) => [what.replaceAll("_", " "), shownValue(what, value)]);
  return h("div", {}, h("h2", {}, "This page"), figures(pairs));
}

function shownValue(what, value) {
  if (typeof value !== "number") return String(value);
  return what.includes("bytes") ? bytes(value) : count(value);
}
