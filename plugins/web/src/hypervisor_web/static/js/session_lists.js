// What happened in a session, as lists that everybody can read and follow.

import { href } from "./address.js";
import { h, name } from "./dom.js";
import { count, duration, time } from "./format.js";
import { agentLink, chip } from "./parts.js";

const MOST = 200;
const WORDS = {
  ok: "ok",
  committed: "ok",
  running: "running",
  error: "failed",
  failed: "failed",
  killed: "failed",
  blocked: "refused",
  cancelled: "cancelled",
  expired: "cancelled",
  erased: "erased",
};

/** The lists of a session: handoffs, files, decisions and incidents, work. */
export function lists(found) {
  const of = (...kinds) => found.marks.filter(([kind]) => kinds.includes(kind));
  return h(
    "div",
    { class: "session-lists" },
    list("Handoffs", of("handoff"), (mark) => handoff(found, mark), "Nobody handed work over."),
    list("Files", of("file"), (mark) => told(found, mark), "No file was written."),
    list("Decisions and incidents", of("decision", "breach", "killed", "quarantine"), (mark) => told(found, mark), "Nothing was decided, and nothing happened."),
    list("Work", found.work, (work) => piece(found, work), "No agent worked."),
  );
}

function list(heading, items, make, nothing) {
  const newest = items.slice(-MOST).reverse();
  return h(
    "section",
    { "aria-label": heading },
    h("h2", {}, heading, " ", h("span", { class: "soft" }, count(items.length))),
    items.length > MOST ? h("p", { class: "soft" }, `the newest ${count(MOST)}`) : null,
    newest.length ? h("ol", {}, newest.map((item) => h("li", {}, make(item)))) : h("p", { class: "soft" }, nothing),
  );
}

function who(found, place) {
  if (place < 0) return h("span", { class: "soft" }, "somebody");
  const [did, shown] = found.agents[place];
  return agentLink(did, shown);
}

function at(us, trace) {
  return trace ? h("a", { class: "soft mono", href: href(["trace", trace]) }, time(us)) : h("span", { class: "soft mono" }, time(us));
}

function handoff(found, [, us, giver, , text, taker, , trace]) {
  return [at(us, trace), who(found, giver), "→", who(found, taker), text ? h("span", { class: "soft" }, h("bdi", {}, text)) : null];
}

function told(found, [, us, agent, word, text, , trouble, trace]) {
  return [at(us, trace), who(found, agent), trouble ? chip("failed", word) : h("span", {}, word), h("bdi", {}, text)];
}

function piece(found, [agent, kind, text, begun, ended, word, trace]) {
  const took = ended === null ? null : h("span", { class: "soft" }, duration(ended - begun));
  return [at(begun, trace), who(found, agent), h("span", { class: "soft" }, kind), name(text), chip(WORDS[word] ?? "", word), took];
}
