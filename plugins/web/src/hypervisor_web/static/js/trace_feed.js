// Keeps one trace up to date: read again where something came of it, no faster than it can be shown.

import { read } from "./trace_model.js";

const LEAST_PAUSE_MS = 100;
const REST = 1; // so many times as long as it took to read and show it; the server rests more

/**
 * Follow a trace. `onTrace(model)` gets it each time it is another one, `onError(error, again)` what
 * went wrong.
 */
export function follow({ api, id, at, onTrace, onError, connection }) {
  const closing = new AbortController();
  const { signal } = closing;
  let known = null;
  let key = id;
  let reading = false;
  let wanted = false;
  let restUntil = 0;
  let timer = 0;

  function want(delay = 0) {
    if (signal.aborted) return;
    if (reading) {
      wanted = true;
      return;
    }
    const wait = Math.max(delay, restUntil - performance.now(), 0);
    clearTimeout(timer);
    timer = setTimeout(ask, wait);
  }

  async function ask() {
    reading = true;
    wanted = false;
    const begun = performance.now();
    try {
      const answer = await api.get("trace", known ? { id: key, known } : { id: key, ...(at && { at }) }, { signal });
      if (signal.aborted) return;
      if (answer?.columns) {
        const first = known === null;
        known = answer.version;
        key = answer.id;
        onTrace(read(answer, performance.now()));
        if (first) listen();
      }
      restUntil = performance.now() + Math.max(LEAST_PAUSE_MS, REST * (performance.now() - begun));
      reading = false;
      if (wanted || answer?.ask_in_ms) want(answer?.ask_in_ms ?? 0);
    } catch (error) {
      reading = false;
      if (signal.aborted) return;
      if (known) connection("failed", error.text ?? String(error));
      onError(error, () => want());
    }
  }

  function listen() {
    api.stream("live", () => ({ filter: `--trace ${key}` }), take, { signal, onState: tell });
  }

  function take(message) {
    if (message.t === "rows" || message.t === "skipped") want();
    else if (message.t === "end") connection("waiting", message.why);
  }

  function tell({ state, seconds, why }) {
    if (state === "connected") connection("ok", "live");
    else if (state === "waiting") connection("waiting", `again in ${seconds} s: ${why}`);
    else if (state === "refused") connection("failed", why);
    else connection("", "");
  }

  ask();
  return { close: () => (clearTimeout(timer), closing.abort()) };
}
