// The server's answers. All of them need the token, which came in the address's fragment.

import { decode } from "./address.js";

const STORE = "token";
const QUIET_MS = 15_000; // a stream says something each 5 s
const LONGEST_WAIT_MS = 10_000;
const channel = typeof BroadcastChannel === "function" ? new BroadcastChannel("token") : null;

/** What the server refused, with its words. */
export class ApiError extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
    this.text = text;
  }
}

/** Take a token out of the address, before anything else can see it there; tells whether it had one. */
export function takeToken() {
  const found = /^#token=([^&]*)&?(.*)$/.exec(location.hash);
  if (!found) return false;
  setToken(decode(found[1]));
  history.replaceState(null, "", found[2] ? `#${found[2]}` : "#/");
  return true;
}

channel?.addEventListener("message", ({ data }) => {
  if (data === "ask" && token()) channel.postMessage({ token: token() });
});

/** Ask the other tabs of this page for their token: an address that was shared has none. */
export function askTabs() {
  if (token() || !channel) return Promise.resolve();
  return new Promise((done) => {
    const timer = setTimeout(done, 200);
    channel.addEventListener("message", ({ data }) => {
      if (typeof data?.token !== "string" || token()) return;
      setToken(data.token);
      clearTimeout(timer);
      done();
    });
    channel.postMessage("ask");
  });
}

/** Keep the token for this tab. */
export function setToken(text) {
  sessionStorage.setItem(STORE, text);
}

function token() {
  return sessionStorage.getItem(STORE) ?? "";
}

/**
 * Ask for `/api/PATH`. Resolves to the answer; null where nothing is new (204).
 *
 * Throws ApiError with the server's words; its status is 0 where the server does not answer. An
 * aborted request throws what `fetch` throws.
 */
export async function get(path, params = {}, { signal } = {}) {
  const answer = await ask(path, params, signal);
  return answer.status === 204 ? null : await answer.json();
}

/**
 * Follow the stream `/api/PATH`, and connect again where it ends, until `signal` aborts.
 *
 * `params()` is asked for each time: where to go on. `onMessage` gets each object; `onState` one of
 * `{state: "connected"}`, `{state: "waiting", seconds, why}`, `{state: "hidden"}` and, at the last,
 * `{state: "refused", status, why}`, which no repetition mends. A tab that is hidden holds no stream.
 */
export async function stream(path, params, onMessage, { signal, onState = () => {} }) {
  let failures = 0;
  while (!signal.aborted) {
    if (document.hidden) {
      onState({ state: "hidden" });
      await shown(signal);
      continue;
    }
    let why = "the stream ended";
    try {
      const meets = () => {
        failures = 0;
        onState({ state: "connected" });
      };
      await once(path, params(), onMessage, meets, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError) {
        why = error.text;
        if (error.status >= 400 && error.status < 500) {
          onState({ state: "refused", status: error.status, why });
          return;
        }
      } else if (error.name !== "AbortError") throw error;
    }
    if (document.hidden) continue;
    await wait(Math.min(LONGEST_WAIT_MS, 500 * 2 ** failures), (seconds) => onState({ state: "waiting", seconds, why }), signal);
    failures += 1;
  }
}

async function once(path, params, onMessage, onOpen, signal) {
  const own = new AbortController();
  const stop = () => own.abort();
  const hide = () => document.hidden && stop();
  signal.addEventListener("abort", stop);
  document.addEventListener("visibilitychange", hide);
  let timer = setTimeout(stop, QUIET_MS);
  try {
    const answer = await ask(path, params, own.signal);
    onOpen();
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        if (own.signal.aborted) throw error;
        return { done: true }; // cut off: as good as an end
      });
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(stop, QUIET_MS);
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line) onMessage(JSON.parse(line));
    }
  } finally {
    clearTimeout(timer);
    stop();
    signal.removeEventListener("abort", stop);
    document.removeEventListener("visibilitychange", hide);
  }
}

async function ask(path, params, signal) {
  const asked = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value !== null && value !== undefined) asked.set(key, value);
  const query = asked.toString();
  let answer;
  try {
    answer = await fetch(`/api/${path}${query ? `?${query}` : ""}`, {
      headers: { Authorization: `Bearer ${token()}` },
      cache: "no-store",
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "the server does not answer");
  }
  if (!answer.ok) throw new ApiError(answer.status, await words(answer));
  return answer;
}

async function words(answer) {
  try {
    return (await answer.json()).error ?? answer.statusText;
  } catch {
    return answer.statusText;
  }
}

function shown(signal) {
  return new Promise((done) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      done();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
  });
}

// Counts down in words; a tab that is shown again, or a network that is back, waits no longer.
function wait(ms, onSecond, signal) {
  const until = performance.now() + ms;
  return new Promise((done) => {
    const tell = () => onSecond(Math.max(1, Math.ceil((until - performance.now()) / 1000)));
    const timer = setInterval(tell, 1000);
    const end = () => {
      clearInterval(timer);
      clearTimeout(last);
      signal.removeEventListener("abort", end);
      window.removeEventListener("online", end);
      done();
    };
    const last = setTimeout(end, ms);
    signal.addEventListener("abort", end);
    window.addEventListener("online", end);
    tell();
  });
}
