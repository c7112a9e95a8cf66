// The rows that the page has, by their ordinals: those that came last, and those that were looked at last.

const PAGE = 100;
const MOST_PAGES = 80;
const MOST_ASKED = 400;
const AROUND = 60;

/** A bounded store of rows, which fetches what is missing where somebody looks. */
export class RowCache {
  /** `fetchRows(first, count, signal)` resolves to `{first, rows}`; `onRows` is told when rows have come. */
  constructor(fetchRows, onRows) {
    this.fetchRows = fetchRows;
    this.onRows = onRows;
    this.clear();
  }

  /** Forget everything, and stop asking. */
  clear() {
    this.asked?.abort.abort();
    this.pages = new Map(); // number -> rows; the one used last stands last
    this.asked = null; // {first, last, abort}
    this.wanted = null;
    this.failed = null;
  }

  /** Keep `rows`, whose ordinals begin with `first`. */
  put(first, rows) {
    for (let at = 0; at < rows.length; ) {
      const number = Math.floor((first + at) / PAGE);
      const offset = first + at - number * PAGE;
      const page = this.#page(number);
      const count = Math.min(PAGE - offset, rows.length - at);
      for (let one = 0; one < count; one += 1) page[offset + one] = rows[at + one];
      at += count;
    }
    while (this.pages.size > MOST_PAGES) this.pages.delete(this.pages.keys().next().value);
  }

  /** The row of an ordinal, if it is here. */
  get(ordinal) {
    return this.pages.get(Math.floor(ordinal / PAGE))?.[ordinal % PAGE];
  }

  /** Fetch what is missing of these ordinals, which rise. Another wish replaces this one. */
  want(ordinals) {
    const missing = ordinals.filter((ordinal) => this.get(ordinal) === undefined);
    // Touch what is looked at, so that it stays.
    for (const number of new Set(ordinals.map((ordinal) => Math.floor(ordinal / PAGE)))) {
      const page = this.pages.get(number);
      if (page && this.pages.delete(number)) this.pages.set(number, page);
    }
    if (missing.length === 0) this.wanted = null;
    else {
      // A little more, on both sides, for who scrolls on.
      const first = Math.max(0, missing[0] - AROUND);
      this.wanted = { first, last: Math.min(missing.at(-1) + 1 + AROUND, first + MOST_ASKED), missing: missing[0] };
    }
    this.#pump();
  }

  async #pump() {
    const wanted = this.wanted;
    if (!wanted) return;
    if (this.asked) {
      // What is under way serves, unless it is for another place.
      if (this.asked.first <= wanted.missing && wanted.missing < this.asked.last) return;
      this.asked.abort.abort();
    }
    if (this.failed && this.failed.missing === wanted.missing && performance.now() < this.failed.until) return;
    const own = { ...wanted, abort: new AbortController() };
    this.asked = own;
    try {
      const { first, rows } = await this.fetchRows(own.first, own.last - own.first, own.abort.signal);
      if (this.asked !== own) return;
      this.put(first, rows);
      if (this.get(own.missing) === undefined) this.#fail(own); // it has left the ring
    } catch {
      if (this.asked !== own) return;
      this.#fail(own);
    }
    this.asked = null;
    this.onRows();
  }

  // Do not ask for the same again at once: the server may be away, or may have none.
  #fail(own) {
    this.failed = { missing: own.missing, until: performance.now() + 2_000 };
  }

  #page(number) {
    let page = this.pages.get(number);
    if (page) this.pages.delete(number);
    else page = [];
    this.pages.set(number, page);
    return page;
  }
}
