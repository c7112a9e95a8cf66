// LIVE: the newest events, at the bottom, as in a log: what one reads does not move when more come.

import { fill, h, say } from "./dom.js";
import { href } from "./address.js";
import { narrowed } from "./filter_words.js";
import { PARTS, densityStrip } from "./density.js";
import { eventPanel } from "./event.js";
import { Seen, filterBox } from "./filter.js";
import { count, many } from "./format.js";
import { LiveList } from "./live_list.js";
import { connectionWords } from "./connection.js";

export const title = "Live";
export const help = [
  ["/", "Filter"],
  ["f", "Next failure; F the one before"],
  ["space", "Pause, and go on with the newest"],
  ["w", "Only what went wrong, or everything"],
  ["↑ ↓ PgUp PgDn", "Choose an event in the list"],
  ["Enter, Esc", "Open the event, close it"],
  ["t", "The trace of the chosen event"],
  ["End", "The newest"],
];
export const takesOptions = true; // in its filter

const DENSITY_MS = 2_000;

export function open(page) {
  const { api, about } = page;
  const seen = new Seen();
  let filter = page.query.filter ?? "";
  let stop = new AbortController(); // of the stream, and of what is asked for the same filter
  let newDensity = false;

  const panel = eventPanel({
    fetchEvent: (position, signal) => api.get("event", { position }, { signal }),
    onClose: () => close(),
    narrow: (option, value) => box.apply(narrowed(filter, option, value)),
    announce: page.announce,
  });
  const strip = densityStrip({ jump: (ordinal) => list.jump(ordinal) });
  const box = filterBox({ seen, onApply: (text) => begin(text) });
  const pause = h("button", { type: "button", "aria-pressed": "false", title: "Pause (space)", onclick: () => list.hold(list.following) }, "Pause");
  const total = h("p", { class: "total soft" });
  const nothing = h("div", { class: "empty", hidden: true });
  const newer = h("button", { type: "button", class: "newer", hidden: true, onclick: () => toList(list.follow()) });
  const list = new LiveList({
    fetchRows: async (first, number, signal) => {
      const answer = await api.get("rows", { filter, first, count: number }, { signal });
      answer.rows.forEach(note);
      return answer;
    },
    fetchPast: (where, number) => api.get("past", { filter, ...where, count: number }, { signal: stop.signal }),
    hasPast: about?.mode === "history",
    onChoose: (row, isOpened) => choose(row, isOpened),
    onChange: () => tell(),
    onSee: (first, last) => strip.mark(first, last),
    announce: page.announce,
  });
  fill(
    page.root,
    h("h1", { class: "unseen" }, "Live"),
    h("div", { class: "toolbar" }, box.element, box.wrong, pause, total),
    box.problem,
    strip.element,
    h("div", { class: "split" }, h("div", { class: "listing" }, list.element, nothing, newer), panel.element),
  );
  panel.element.addEventListener("keydown", (event) => event.key === "Escape" && close());

  const timer = setInterval(() => newDensity && askDensity(), DENSITY_MS);
  begin(filter);
  if (page.query.at) seek({ position: page.query.at }, true);

  /** Show the events of a filter. */
  function begin(text) {
    stop.abort();
    stop = new AbortController();
    filter = text;
    box.show(text);
    save();
    list.begin();
    const { signal } = stop;
    api.stream("live", () => ({ filter, ...list.place }), take, {
      signal,
      onState: (state) => {
        if (signal.aborted) return;
        if (state.state === "refused" && state.status === 400) {
          box.fail(state.why);
          fill(total);
          page.connection("", "");
        } else page.connection(...connectionWords(state));
      },
    });
    newDensity = false;
    askDensity();
  }

  function take(message) {
    if (message.t === "rows") message.rows.forEach(note);
    if (message.t === "notice") page.notice(message.text);
    if (message.t === "rows" || message.t === "skipped" || message.t === "view") newDensity = true;
    list.take(message);
  }

  function note(row) {
    seen.add("--type", row[2]);
    seen.add("--agent", row[4] || row[3]);
    seen.add("--session", row[5]);
  }

  async function askDensity() {
    newDensity = false;
    try {
      const answer = await api.get("density", { filter, parts: PARTS }, { signal: stop.signal });
      strip.show(answer);
      const wrong = answer.wrong.reduce((sum, one) => sum + one, 0);
      fill(total, many(answer.next - answer.oldest, "event"), wrong ? [", ", h("span", { class: "is-failed" }, `${count(wrong)} went wrong`)] : null);
    } catch (error) {
      if (!(error instanceof api.ApiError) && error.name !== "AbortError") throw error;
    }
  }

  /** Say how the list stands. */
  function tell() {
    pause.setAttribute("aria-pressed", String(!list.following));
    say(pause, list.following ? "Pause" : "Paused");
    const waiting = list.waiting();
    newer.hidden = list.following;
    sayNothing();
    say(newer, waiting ? `${count(waiting)} new ↓` : "Newest ↓");
  }

  /** Say why the list is empty, if it is. */
  function sayNothing() {
    if (nothing.hidden !== list.isEmpty()) return;
    nothing.hidden = !list.isEmpty();
    const clear = h("button", { type: "button", onclick: () => toList(box.apply("")) }, "Show all events");
    const none = filter === "--wrong" ? "Nothing has gone wrong in the events that the page holds." : "No event that the page holds matches the filter.";
    const [why, what] = filter ? [none, clear] : ["No events yet.", "They appear here as they come."];
    const older = filter && list.line.mayHavePast ? h("button", { type: "button", onclick: () => toList(list.fetchOlder()) }, "Look among older events") : null;
    fill(nothing, h("p", { class: "lead" }, why), h("p", {}, older, older && " ", what));
  }

  // A button that hides itself must not take the focus with it.
  async function toList(done) {
    list.element.focus({ preventScroll: true });
    await done;
  }

  function choose(row, isOpened) {
    if (row && (isOpened || panel.isOpen)) panel.open(row);
    save();
  }

  function close() {
    const inside = panel.element.contains(document.activeElement);
    panel.hide();
    if (inside) list.element.focus({ preventScroll: true });
    save();
  }

  function save() {
    page.keep({ filter, at: panel.isOpen ? list.chosen?.[0] : null });
  }

  /** Find an event by the server, and choose it; tells whether there is one. */
  async function seek(where, isOpened) {
    try {
      const { ordinal } = await api.get("seek", { filter, ...where }, { signal: stop.signal });
      if (ordinal === null) return false;
      await list.chooseOrdinal(ordinal, isOpened);
      return true;
    } catch (error) {
      if (error.name === "AbortError") return true;
      page.announce(error.message);
      return true;
    }
  }

  async function failure(key) {
    // Who has chosen nothing follows the newest, and looks back first: nothing comes after it.
    const back = key === "before" || !list.hasChosen();
    if (!back && list.choosePastFailure(false, panel.isOpen)) return;
    if (await seek({ [back ? "before" : "after"]: list.failureFrom(back) }, panel.isOpen)) return;
    if (back && list.choosePastFailure(true, panel.isOpen)) return;
    if (!back) page.announce("Nothing else went wrong until now.");
    else page.announce(list.line.mayHavePast ? "Nothing went wrong before, of the events shown here. Older ones are in the journal." : "Nothing went wrong before.");
  }

  // The list is what the arrows are for, unless something else has the focus.
  function onBody(event) {
    if (event.target !== document.body) return false;
    list.element.focus({ preventScroll: true });
    list.press(event);
    return true;
  }

  return {
    close() {
      stop.abort();
      clearInterval(timer);
      list.close();
      strip.close();
    },
    update({ query }) {
      if ((query.filter ?? "") !== filter) begin(query.filter ?? "");
      if (query.at && String(list.chosen?.[0]) !== query.at) seek({ position: query.at }, true);
    },
    keys: {
      "/": () => box.focus(),
      f: () => failure("after"),
      F: () => failure("before"),
      " ": () => list.hold(list.following),
      w: () => box.turnWrong(),
      t: () => list.chosen?.[6] && page.go(href(["trace", list.chosen[6]])),
      ...Object.fromEntries(["ArrowDown", "ArrowUp", "PageDown", "PageUp", "Home", "End", "Enter"].map((key) => [key, (event) => onBody(event)])),
      Escape: () => panel.isOpen && close(),
    },
  };
}
