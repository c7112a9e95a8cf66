// The head of a trace: what it is, how it stands, what it used, what went wrong first.

import { fill, h, name, say } from "./dom.js";
import { count, duration, many, moment, utc } from "./format.js";
import { agentLink, chip, figures } from "./parts.js";
import { eventsOf } from "./trace_details.js";
import { firstTrouble, nowIn, text } from "./trace_model.js";

const MOST_AGENTS = 8;

/** Make the head; `onJump(row)` is asked for where the first failure is told. */
export function head({ onJump }) {
  const title = h("h1");
  const state = h("span");
  const lasted = h("span");
  const facts = h("div");
  const wrong = h("p", { class: "trace-wrong" });
  const notices = h("div", { class: "trace-notices" });
  const element = h("header", { class: "trace-head" }, h("div", { class: "trace-title" }, title, state), facts, wrong, notices);
  let model = null;

  function show(next, others) {
    model = next;
    const { answer } = model;
    fill(title, name(answer.root || `trace ${answer.trace}`));
    fill(state, answer.state ? chip(stateOf(answer.state), answer.state) : null, answer.state !== "running" && answer.running ? chip("running") : null);
    say(lasted, duration(lastedUs()));
    const shown = answer.agents.slice(0, MOST_AGENTS);
    fill(
      facts,
      figures([
        [answer.running ? "runs for" : "took", lasted],
        ["began", h("time", { title: utc(answer.begun) }, moment(answer.begun))],
        [answer.agents.length === 1 ? "agent" : "agents", answer.agents.length ? [shown.map((one, place) => [place ? ", " : "", agentLink(one.did, one.name)]), answer.agents.length > shown.length ? ` and ${count(answer.agents.length - shown.length)} more` : ""] : "none"],
        ["work", count(model.size)],
        ["events", h("a", { href: eventsOf(answer.trace) }, count(answer.events))],
        ["tokens", answer.usage.tokens ? count(answer.usage.tokens) : ""],
        ["cost", answer.usage.cost.join(", ")],
        ["breaches", answer.breaches ? count(answer.breaches) : ""],
        ["refusals", answer.refusals ? count(answer.refusals) : ""],
        ["as text", h("code", {}, `hvobs tree ${answer.trace}`)],
      ].filter(([, value]) => value !== "")),
    );
    showWrong();
    fill(notices, (others ? [others] : []).concat(answer.notices).map((one) => h("p", { class: "soft" }, one)));
  }

  function showWrong() {
    const row = firstTrouble(model);
    wrong.hidden = row < 0;
    if (row < 0) return;
    const reason = text(model, "reason", row) || model.answer.reason;
    const more = model.culprits.length - 1;
    fill(
      wrong,
      "First to go wrong: ",
      h("button", { type: "button", onclick: () => onJump(row) }, text(model, "kind", row), " ", name(text(model, "title", row)), " ", text(model, "word", row)),
      reason ? [": ", h("bdi", {}, reason)] : "",
      more ? h("span", { class: "soft" }, ` and ${many(more, "more", "more")}: `, h("kbd", {}, "f"), " goes to the next") : "",
    );
  }

  // What runs has lasted until now; what has ended, until its last event.
  function lastedUs() {
    const { answer } = model;
    return answer.running ? nowIn(model, performance.now()) : answer.ended - answer.begun;
  }

  function grow() {
    if (model?.answer.running) say(lasted, duration(lastedUs()));
  }

  return { element, show, grow };
}

function stateOf(outcome) {
  return outcome === "expired" ? "cancelled" : outcome;
}
