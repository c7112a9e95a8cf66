// What stands where in the list: ordinals of a view, with what was left out folded into one item.

// Each gap is an item of its own; of more than these the oldest is unfolded, and fetched where one looks.
const MOST_GAPS = 500;

/**
 * The items of a list, by their index from 0: first older rows that were fetched from the history,
 * then the events of the ring by their ordinals, gaps folded.
 *
 * `origin` is the ordinal of the first event shown. It follows the ring's oldest only by `settle`, so
 * that nothing moves under a reader.
 */
export class Line {
  constructor() {
    this.begin(0, 0);
  }

  /** Begin anew, with the ring's oldest ordinal and the next one. */
  begin(oldest, next) {
    this.origin = this.oldest = oldest;
    this.next = next;
    this.gaps = []; // {first, count}, rising
    this.offers = false;
    this.#forgetPast();
    this.#index();
  }

  /** Note how far the ring reaches now. */
  advance(oldest, next) {
    this.oldest = Math.max(this.oldest, oldest);
    this.next = Math.max(this.next, next);
    this.size = this.#ringIndex(this.next);
  }

  /** Leave out what the ring has lost, and the older rows: whoever calls it shows the newest. */
  settle() {
    this.origin = Math.max(this.origin, Math.min(this.oldest, this.next));
    if (this.past.length) this.#forgetPast();
    this.gaps = this.gaps
      .map(({ first, count }) => ({ first: Math.max(first, this.origin), count: first + count - Math.max(first, this.origin) }))
      .filter((gap) => gap.count > 0);
    this.#index();
  }

  /** Fold `count` events that were left out. */
  skip(first, count) {
    if (first < this.origin) {
      // What was before the beginning of the list is missing anyway.
      [first, count] = [this.origin, first + count - this.origin];
      if (count <= 0) return;
    }
    const last = this.gaps.at(-1);
    if (last && last.first + last.count === first) last.count += count;
    else this.gaps.push({ first, count });
    if (this.gaps.length > MOST_GAPS) this.gaps.shift();
    this.next = Math.max(this.next, first + count);
    this.#index();
  }

  /** The index of the next of the older rows that went wrong, or of the one before; -1 if there is none. */
  pastFailure(index, isBefore) {
    const begin = this.head - this.past.length;
    const at = index < 0 ? this.past.length : index - begin;
    const places = [...this.past.keys()].filter((place) => this.past[place][8] && (isBefore ? place < at : place > at));
    const place = isBefore ? places.at(-1) : places[0];
    return place === undefined ? -1 : begin + place;
  }

  /** Unfold a gap: its events take their places. */
  unfold(gap) {
    this.gaps = this.gaps.filter((one) => one !== gap);
    this.#index();
  }

  /** Put older rows before all others, oldest first; `until` is what to ask with for more, null if there are none. */
  prepend(rows, until) {
    this.past = [...rows, ...this.past];
    this.until = until;
    this.mayHavePast = until !== null;
    this.#index();
  }

  /** Say whether the history has older events: an item at the beginning offers them. */
  offerPast(more) {
    this.offers = this.mayHavePast = more;
    this.#index();
  }

  // Where a search for older rows has come to goes with them.
  #forgetPast() {
    this.past = [];
    this.until = null;
    this.mayHavePast = this.offers;
  }

  /** What stands at `index`: `{older: true}`, `{row}`, `{gap}` or `{ordinal}`. */
  at(index) {
    if (this.mayHavePast && index === 0) return { older: true };
    if (index < this.head) return { row: this.past[index - (this.head - this.past.length)] };
    const place = this.#before(index, this.starts);
    if (place >= 0 && this.starts[place] === index) return { gap: this.gaps[place] };
    const folded = place < 0 ? 0 : this.folded[place];
    return { ordinal: this.origin + index - this.head + folded };
  }

  /** Where an ordinal stands; that of its gap if it is folded. */
  indexOf(ordinal) {
    return Math.min(Math.max(this.head, this.#ringIndex(ordinal)), Math.max(0, this.size - 1));
  }

  #ringIndex(ordinal) {
    let index = this.head + ordinal - this.origin;
    const place = this.#before(ordinal, this.firsts);
    if (place >= 0) {
      const gap = this.gaps[place];
      index -= (place > 0 ? this.folded[place - 1] : 0) + Math.min(ordinal - gap.first, gap.count - 1);
    }
    return index;
  }

  #index() {
    this.head = this.past.length + (this.mayHavePast ? 1 : 0);
    this.firsts = this.gaps.map((gap) => gap.first);
    this.starts = []; // the index of each gap
    this.folded = []; // how many items fewer there are up to each gap, itself included
    let fewer = 0;
    for (const gap of this.gaps) {
      this.starts.push(this.head + gap.first - this.origin - fewer);
      fewer += gap.count - 1;
      this.folded.push(fewer);
    }
    this.size = this.#ringIndex(this.next);
  }

  // The last place whose value is not above `value`; -1 if there is none.
  #before(value, values) {
    let low = 0;
    let high = values.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] <= value) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
