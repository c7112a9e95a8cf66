// The list of LIVE: which events it holds, which is chosen, and whether it follows the newest.

import { h } from "./dom.js";
import { Line } from "./line.js";
import { clearRow, gapText, makeHead, makeRow, paintOffer, paintRow, paintWords } from "./live_row.js";
import { Older } from "./older.js";
import { RowCache } from "./row_cache.js";
import { VirtualList } from "./rows.js";

export class LiveList {
  /** `onChoose(row, isOpened)`, `onChange()`, `onSee(firstOrdinal, lastOrdinal)`; the rest is asked for. */
  constructor({ fetchRows, fetchPast, hasPast, onChoose, onChange, onSee, announce }) {
    Object.assign(this, { fetchRows, hasPast, onChoose, onChange, onSee, announce });
    this.older = new Older(fetchPast, announce);
    this.element = h("div", { class: "live-list", role: "grid", tabindex: "0", "aria-label": "Events", "aria-rowcount": "0" });
    this.line = new Line();
    this.cache = new RowCache(
      (first, number, signal) => fetchRows(first, number, signal).then((answer) => (this.line.advance(answer.oldest, 0), answer)),
      () => this.list.draw(),
    );
    this.list = new VirtualList({
      scroller: this.element,
      head: makeHead(),
      make: makeRow,
      clear: clearRow,
      paint: (element, index) => this.#paint(element, index),
      painted: (first, last) => this.#painted(first, last),
      scrolled: () => this.#scrolled(),
      resized: () => !this.following && this.index >= 0 && this.list.show(this.index),
    });
    this.#forget();
    this.element.addEventListener("keydown", (event) => this.press(event));
    this.element.addEventListener("click", (event) => this.#click(event));
    // The wheel says what is wanted before the scroll that follows the newest can undo it.
    this.element.addEventListener("wheel", (event) => event.deltaY < 0 && this.#leave(), { passive: true });
  }

  /** Forget everything: another filter, or another ring. */
  begin() {
    this.#forget();
    this.#draw();
    this.onChange();
  }

  #forget() {
    this.cache.clear();
    this.line.begin(0, 0);
    this.ring = null;
    this.streamed = null; // the ordinal that the stream gives next
    this.following = true;
    this.held = false;
    this.seenNext = 0;
    this.index = -1; // of the chosen item
    this.chosen = null; // its row
  }

  /** Where a stream is to go on. */
  get place() {
    return { from: this.streamed, ring: this.ring };
  }

  /** Take a message of the stream. */
  take(message) {
    const { line } = this;
    if (message.t === "view") {
      const isOther = this.streamed === null || message.ring !== this.ring || message.next < this.streamed || message.oldest > this.streamed;
      if (isOther) {
        const wasHeld = this.streamed !== null && !this.following;
        this.begin();
        if (wasHeld) this.announce("What was shown is gone: the page begins with the newest.");
        line.begin(message.oldest, message.next);
        line.offerPast(this.hasPast);
        this.seenNext = this.streamed = message.next;
      }
      this.ring = message.ring;
    } else if (message.t === "rows") {
      this.cache.put(message.first, message.rows);
      this.streamed = message.first + message.rows.length;
      line.advance(message.oldest, this.streamed);
    } else if (message.t === "skipped") {
      line.skip(message.first, message.count);
      this.streamed = message.first + message.count;
      line.advance(message.oldest ?? 0, this.streamed);
    } else return;
    this.#draw();
  }

  /** How many have come since the list stands still. */
  waiting() {
    return this.following ? 0 : Math.max(0, this.line.next - this.seenNext);
  }

  /** Whether it is known that there is no event. */
  isEmpty() {
    return this.streamed !== null && this.line.size === this.line.head && this.line.past.length === 0;
  }

  /** The ordinal after the last. */
  end() {
    return this.line.next;
  }

  /** Stand still, until `follow`; or go on. */
  hold(isHeld) {
    if (!isHeld) {
      this.follow();
      this.announce("Following the newest.");
      return;
    }
    this.#leave();
    this.held = true;
    this.announce("Paused.");
  }

  /** Go to the newest, and stay there. */
  follow() {
    this.following = true;
    this.held = false;
    this.#draw();
    this.onChange();
  }

  /** Show an event at the top, without choosing it. */
  jump(ordinal) {
    this.#leave();
    this.list.moveTo(this.line.indexOf(ordinal) * this.list.rowPixels);
  }

  /** The chosen event's ordinal; null if none is chosen. */
  chosenOrdinal() {
    return this.index < 0 ? null : (this.line.at(this.index).ordinal ?? null);
  }

  /** Whether an event is chosen. */
  hasChosen() {
    return this.index >= 0;
  }

  /** The ordinal from which an event of the ring that went wrong is looked for. */
  failureFrom(isBefore) {
    const { line } = this;
    if (this.index < 0) return line.next;
    const { ordinal, gap } = line.at(this.index);
    const first = gap?.first ?? line.origin; // of a gap, or behind the older rows
    return ordinal ?? (isBefore ? first : Math.max(0, first - 1));
  }

  /** Choose the next of the older rows that went wrong, or the one before; tells whether there is one. */
  choosePastFailure(isBefore, isOpened) {
    const index = this.line.pastFailure(this.index, isBefore);
    if (index >= 0) this.#choose(index, isOpened);
    return index >= 0;
  }

  /** Choose an event, which may have to be fetched. */
  async chooseOrdinal(ordinal, isOpened) {
    this.#leave();
    const gap = this.line.gaps.find(({ first, count: number }) => first <= ordinal && ordinal < first + number);
    if (gap) this.line.unfold(gap);
    this.list.resize(this.line.size);
    this.#choose(this.line.indexOf(ordinal), isOpened);
  }

  close() {
    this.cache.clear();
    this.list.close();
  }

  #leave() {
    if (!this.following) return;
    this.following = false;
    this.seenNext = this.line.next;
    this.onChange();
  }

  #draw() {
    const { line, list } = this;
    if (this.following) {
      const ordinal = this.chosenOrdinal();
      line.settle();
      this.index = ordinal === null || ordinal < line.origin ? -1 : line.indexOf(ordinal);
      list.resize(line.size);
      list.moveTo(Infinity);
    } else list.resize(line.size);
    this.onChange();
    list.draw();
  }

  #scrolled() {
    if (!this.list.isAtEnd()) this.#leave();
    else if (!this.following && !this.held) this.follow();
  }

  #paint(element, index) {
    const item = this.line.at(index);
    const row = item.row ?? (item.ordinal === undefined ? undefined : this.cache.get(item.ordinal));
    if (row) paintRow(element, row, item.ordinal);
    else if (item.gap) paintOffer(element, gapText(item.gap));
    else if (item.older) paintOffer(element, this.older.text(this.line));
    else if (item.ordinal < this.line.oldest) paintWords(element, "no longer held by the page");
    else paintWords(element, "…");
    element.index = index;
    element.setAttribute("aria-rowindex", String(index + 2));
    const isChosen = index === this.index;
    if (isChosen !== element.isChosen) {
      element.isChosen = isChosen;
      element.setAttribute("aria-selected", String(isChosen));
    }
    if (isChosen) {
      this.element.setAttribute("aria-activedescendant", element.id);
      if (row && row !== this.chosen) {
        this.chosen = row;
        this.onChoose(row, this.opens);
      }
    }
  }

  #painted(first, last) {
    const ordinals = [];
    for (let index = first; index < last; index += 1) {
      const { ordinal } = this.line.at(index);
      if (ordinal !== undefined && ordinal >= this.line.oldest) ordinals.push(ordinal);
    }
    this.element.setAttribute("aria-rowcount", String(this.line.size + 1));
    if (this.index < first || this.index >= last) this.element.removeAttribute("aria-activedescendant");
    if (ordinals.length === 0) return;
    this.cache.want(ordinals);
    this.onSee(ordinals[0], ordinals.at(-1) + 1);
  }

  #choose(index, isOpened) {
    this.#leave();
    this.index = index;
    this.chosen = null;
    this.opens = isOpened;
    this.list.show(index);
    const item = this.line.at(index);
    const row = item.row ?? (item.ordinal === undefined ? null : this.cache.get(item.ordinal));
    if (row) {
      this.chosen = row;
      this.onChoose(row, isOpened);
    }
    this.list.draw();
  }

  async #use(index, isOpened) {
    const item = this.line.at(index);
    if (item.gap) {
      this.#leave();
      this.line.unfold(item.gap);
      this.#draw();
    } else if (item.older) await this.fetchOlder();
    this.#choose(item.older ? this.index : index, isOpened);
  }

  /** Fetch older events than those that the list has. */
  async fetchOlder() {
    this.#leave();
    const { line } = this;
    const before = line.head;
    await this.older.fetch(line, async () => this.cache.get(line.origin) ?? (await this.fetchRows(line.origin, 1)).rows[0]);
    const more = line.head - before;
    this.index = Math.max(0, more);
    this.list.resize(line.size, more);
    this.list.draw(); // one row in place of the offer is no other size
    this.onChange();
  }

  /** Do what a key of the list does. */
  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.line.size === 0) return;
    const page = Math.max(1, this.list.rows() - 1);
    const last = this.line.size - 1;
    const own = this.index < 0 ? Math.min(last + 1, this.list.first() + this.list.rows()) : this.index;
    const to = {
      ArrowDown: own + 1,
      ArrowUp: own - 1,
      PageDown: own + page,
      PageUp: own - page,
      Home: 0,
    }[event.key];
    if (to !== undefined) this.#choose(Math.max(0, Math.min(last, to)), false);
    else if (event.key === "End") {
      this.#choose(last, false);
      this.follow();
    } else if (event.key === "Enter" && this.index >= 0) this.#use(this.index, true);
    else return;
    event.preventDefault();
  }

  #click(event) {
    const element = event.target.closest(".row");
    if (!element || element.index === undefined || event.target.closest("a")) return;
    const item = this.line.at(element.index);
    if ((item.gap || item.older) && !event.target.closest("button")) return;
    this.#use(element.index, true);
  }
}
