// Events from before those that the page holds: asked of the history, a part at a time.

import { count } from "./format.js";

const MOST = 2_000;
const AT_ONCE = 200;

export class Older {
  /** `fetchPast({until, position}, count)` resolves to `{rows, until}`. */
  constructor(fetchPast, announce) {
    Object.assign(this, { fetchPast, announce });
    this.isFetching = false;
  }

  /** What offers them. */
  text(line) {
    if (line.past.length >= MOST) return `These are ${count(MOST)} older ones; hvobs query has the rest`;
    return "Look for older events";
  }

  /** Put some more of them before what `line` has; `firstRow` fetches its first row of the ring. */
  async fetch(line, firstRow) {
    if (line.past.length >= MOST || this.isFetching) return;
    this.isFetching = true;
    try {
      const first = line.until === null ? await firstRow() : null;
      // Where no row of the ring is like the filter, all that are like it are older.
      const until = line.until ?? first?.[1] ?? Number.MAX_SAFE_INTEGER;
      const { rows, until: next } = await this.fetchPast({ until, position: first?.[0] ?? null }, AT_ONCE);
      line.prepend(rows, next);
      const goesOn = next !== null && rows.length < AT_ONCE; // a search that takes long ends before it is through
      if (rows.length === 0 && next === null) this.announce("There are no older ones.");
      else this.announce(`${count(rows.length)} older events${goesOn ? " so far: ask again to look further" : ""}.`);
    } catch (error) {
      if (error.name !== "AbortError") this.announce(error.message); // another filter has begun
    } finally {
      this.isFetching = false;
    }
  }
}
