// SAGAS: in lanes by how they stand, each with its steps in a line.

import { href } from "./address.js";
import { elapsed, filterField, follow, frame, keyed } from "./board.js";
import { fill, h, name, say } from "./dom.js";
import { count, duration, many, moment } from "./format.js";
import { empty, since, sign } from "./parts.js";

export const title = "Sagas";
export const styles = ["/boards.css"];
export const help = [
  ["/", "Filter"],
  ["f", "Next saga that was escalated or failed"],
];

// The lane, its heading, the state whose sign and colour it has, and whether it is shown when empty.
const LANES = {
  running: ["Running", "running", true],
  compensated: ["Undone", "undone", true],
  escalated: ["Escalated", "failed", true],
  failed: ["Failed", "failed", false],
  committed: ["Committed", "ok", true],
  erased: ["Erased", "erased", false],
};
const PIECES = {
  running: "running",
  committed: "ok",
  failed: "failed",
  undone: "undone",
  compensated: "undone",
  erased: "erased",
};

export function open({ root, query, api, keep, announce, connection }) {
  const asked = { filter: query.filter ?? "" };
  const field = filterField({
    value: asked.filter,
    label: "Filter by name, step, id or reason",
    onInput(text) {
      asked.filter = text;
      keep(asked);
      board.again();
    },
  });
  const { body, note } = frame(root, "Sagas", h("div", { class: "grow" }, field));
  const lanes = h("div", { class: "lanes" });
  const board = follow({
    root,
    path: "sagas",
    params: () => ({ filter: asked.filter || null }),
    draw,
    fail: (text) => fill(body, empty("The sagas cannot be shown", text)),
    api,
    connection,
  });

  function draw(found) {
    const all = found.lanes.reduce((sum, lane) => sum + lane.count, 0);
    say(note, notes(found, all));
    if (all === 0) {
      fill(body, nothing(asked.filter));
      return;
    }
    if (body.firstElementChild !== lanes) fill(body, lanes);
    const shown = found.lanes.filter(({ lane, count: sagas }) => sagas > 0 || LANES[lane]?.[2]);
    // A lane keeps its element, so that only the sagas that changed are made again.
    keyed(lanes, shown.map(({ lane }) => ({ lane })), (one) => one.lane, laneElement);
    for (const one of shown) fillLane(lanes.querySelector(`[data-lane="${one.lane}"]`), one);
  }

  function nextFailure() {
    const bad = [...body.querySelectorAll("[data-lane=escalated] .saga, [data-lane=failed] .saga")];
    const at = bad.indexOf(document.activeElement?.closest(".saga"));
    const next = bad[at + 1] ?? bad[0];
    if (next) next.querySelector("a, button")?.focus();
    else announce("no saga failed or was escalated");
  }

  return { close: board.close, keys: { "/": () => field.focus(), f: nextFailure } };
}

function notes(found, all) {
  const parts = [many(all, "saga")];
  if (found.since) parts.push(`since ${moment(found.since)}`);
  if (found.left_out) parts.push(`${count(found.left_out)} older ones are left out`);
  return parts.join("; ");
}

function nothing(filter) {
  if (filter) return empty("No saga is like that", "Empty the filter to see all.");
  return empty("No saga yet", "A saga begins with saga.created, or its first step. hvobs demo --journal DIR plays some.");
}

function laneElement({ lane }) {
  const [heading, state] = LANES[lane] ?? [lane, ""];
  return h(
    "section",
    { class: `lane is-${state}`, "data-lane": lane, "aria-label": heading },
    h("h2", {}, h("span", { class: "sign", "aria-hidden": "true" }, sign(state)), " ", heading, " ", h("span", { class: "soft lane-count" })),
    h("div", { class: "lane-sagas" }),
    h("p", { class: "soft lane-more" }),
  );
}

function fillLane(element, lane) {
  say(element.querySelector(".lane-count"), count(lane.count));
  keyed(element.querySelector(".lane-sagas"), lane.sagas, (saga) => saga.id, sagaElement);
  const more = lane.count - lane.sagas.length;
  say(element.querySelector(".lane-more"), more > 0 ? `and ${count(more)} older` : lane.count ? "" : "none");
}

function sagaElement(saga) {
  const text = saga.title || saga.id;
  const took = saga.ended === null ? elapsed(saga.begun) : duration(saga.ended - saga.begun);
  return h(
    "article",
    { class: "saga", "data-saga": saga.id },
    h(
      "header",
      {},
      saga.trace ? h("a", { href: href(["trace", saga.trace]), title: saga.id }, name(text)) : h("strong", {}, name(text)),
      saga.title && saga.title !== saga.id ? h("span", { class: "soft cut" }, h("bdi", {}, saga.id)) : null,
    ),
    h("p", { class: "soft" }, "began ", since(saga.begun), saga.ended === null ? ", for " : ", took ", took),
    saga.undoing ? h("p", { class: "is-undone" }, "being undone") : null,
    saga.reason ? h("p", { class: "reason" }, h("bdi", {}, saga.reason)) : null,
    h("ol", { class: "steps", "aria-label": "Steps" }, saga.pieces.map(step)),
    saga.left_out ? h("p", { class: "soft" }, `and ${count(saga.left_out)} more steps`) : null,
  );
}

function step([text, state, begun, ended]) {
  const kind = PIECES[state] ?? "";
  const took = ended === null ? "running" : duration(ended - begun);
  return h(
    "li",
    { class: `step is-${kind}`, title: `${text}: ${state}, ${took}` },
    h("span", { class: "sign", "aria-hidden": "true" }, sign(kind)),
    h("bdi", {}, text),
    h("span", { class: "unseen" }, `, ${state}`),
    state === "running" ? h("span", { class: "soft" }, elapsed(begun)) : null,
  );
}
