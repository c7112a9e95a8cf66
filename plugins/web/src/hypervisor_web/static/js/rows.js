// A list of any length in a native scroll container, of which some sixty rows exist.

// Browsers limit the height of an element (Firefox: 17.9 million pixels). Both ends of a longer
// list keep their pixels; what is between them is compressed.
const MOST_PIXELS = 8_000_000;
const END_PIXELS = 1_000_000;
const AROUND = 6; // rows above and below what is seen, for the time between a scroll and its frame

/** The virtual list. Indexes count from 0; `top` is the first pixel seen, of all that there would be. */
export class VirtualList {
  /**
   * `scroller` scrolls and has `head` in it, which stays. `make()` gives an element; `paint(element,
   * index)` shows an item in it, `clear(element)` none; `painted(first, last)` is told what is on the
   * screen, `scrolled()` that the viewer has scrolled, `resized()` that the room for rows is another.
   */
  constructor({ scroller, head, make, paint, clear, painted, scrolled, resized = () => {} }) {
    Object.assign(this, { scroller, make, paint, clear, painted, scrolled, resized });
    this.room = document.createElement("div");
    this.room.className = "room";
    this.room.setAttribute("role", "rowgroup");
    this.layer = document.createElement("div");
    this.layer.className = "layer";
    this.layer.setAttribute("role", "presentation");
    this.room.append(this.layer);
    scroller.append(head, this.room);
    this.head = head;
    this.pool = [];
    this.size = 0;
    this.top = 0;
    this.set = 0; // where the scroll stands by our own doing
    this.frame = 0;
    this.watch = new ResizeObserver(() => {
      // On paper the list is as high as its rows: more rows would make it higher, without end.
      if (matchMedia("print").matches) return;
      this.measure();
      this.resized();
    });
    this.watch.observe(scroller);
    scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.measure();
  }

  /** Stop watching. */
  close() {
    this.watch.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.idle);
  }

  /** Read the sizes again: the window, the letters. */
  measure() {
    const index = this.rowPixels ? this.top / this.rowPixels : 0;
    const atEnd = this.rowPixels && this.isAtEnd();
    this.rowPixels = parseFloat(getComputedStyle(this.scroller).getPropertyValue("--row")) || 24;
    this.seen = Math.max(this.rowPixels, this.scroller.clientHeight - this.head.offsetHeight);
    this.#layOut();
    this.moveTo(atEnd ? Infinity : index * this.rowPixels);
  }

  /** Set how many items there are; `shift` of them came in, or went, before what is seen. */
  resize(size, shift = 0) {
    if (size === this.size && !shift) return;
    this.size = size;
    this.#layOut();
    if (shift || this.top > this.#last()) this.moveTo(this.top + shift * this.rowPixels);
    this.draw();
  }

  /** Move so that the pixel `top` is the first one seen. */
  moveTo(top) {
    this.top = Math.max(0, Math.min(top, this.#last()));
    this.#place();
    this.draw();
  }

  /** Move as little as needed to see an item; where it is far away, to the middle. */
  show(index) {
    const top = index * this.rowPixels;
    const bottom = top + this.rowPixels;
    if (bottom < this.top - this.seen || top > this.top + 2 * this.seen) this.moveTo(top - this.seen / 2);
    else if (top < this.top) this.moveTo(top);
    else if (bottom > this.top + this.seen) this.moveTo(bottom - this.seen);
  }

  isAtEnd() {
    return this.top >= this.#last() - 2;
  }

  /** The index of the first item on the screen, and how many there is room for. */
  first() {
    return Math.floor(this.top / this.rowPixels);
  }

  rows() {
    return Math.max(1, Math.floor(this.seen / this.rowPixels));
  }

  /** Paint with the next frame. */
  draw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.#paint();
    });
  }

  #last() {
    return Math.max(0, this.size * this.rowPixels - this.seen);
  }

  #layOut() {
    const whole = this.size * this.rowPixels;
    this.height = Math.min(whole, MOST_PIXELS);
    const text = `${this.height}px`;
    if (this.room.style.height !== text) this.room.style.height = text;
  }

  #onScroll() {
    const at = this.scroller.scrollTop;
    const moved = at - this.set;
    if (Math.abs(moved) < 1) return; // our own
    this.set = at;
    const inMiddle = this.#isCompressed() && at > END_PIXELS && at < this.height - END_PIXELS;
    // In the compressed part, a turn of the wheel moves by rows; the scroll bar moves by its share.
    if (inMiddle && Math.abs(moved) < this.seen) this.top = Math.max(0, Math.min(this.top + moved, this.#last()));
    else this.top = this.#topAt(at);
    if (inMiddle) {
      clearTimeout(this.idle);
      this.idle = setTimeout(() => this.#place(), 200);
    }
    this.draw();
    this.scrolled();
  }

  #isCompressed() {
    return this.size * this.rowPixels > MOST_PIXELS;
  }

  #place() {
    const at = this.#isCompressed() ? this.#scrollFor(this.top) : this.top;
    if (Math.abs(this.scroller.scrollTop - at) >= 1) this.scroller.scrollTop = at;
    this.set = this.scroller.scrollTop;
  }

  // The two directions of the map; all but the middle is one to one.
  #topAt(at) {
    if (!this.#isCompressed() || at <= END_PIXELS) return Math.min(at, this.#last());
    const whole = this.size * this.rowPixels;
    const left = this.height - at;
    if (left <= END_PIXELS) return Math.min(whole - left, this.#last());
    return END_PIXELS + ((at - END_PIXELS) * (whole - 2 * END_PIXELS)) / (this.height - 2 * END_PIXELS);
  }

  #scrollFor(top) {
    if (top <= END_PIXELS) return top;
    const whole = this.size * this.rowPixels;
    if (whole - top <= END_PIXELS) return this.height - (whole - top);
    return END_PIXELS + ((top - END_PIXELS) * (this.height - 2 * END_PIXELS)) / (whole - 2 * END_PIXELS);
  }

  #paint() {
    const first = Math.max(0, this.first() - AROUND);
    const last = Math.min(this.size, Math.ceil((this.top + this.seen) / this.rowPixels) + AROUND);
    const room = Math.ceil(this.seen / this.rowPixels) + 2 * AROUND + 1;
    while (this.pool.length < room) {
      const element = this.make();
      this.pool.push(element);
      element.hidden = true;
      this.layer.append(element);
    }
    while (this.pool.length > room) this.pool.pop().remove();
    this.layer.style.transform = `translateY(${this.set + first * this.rowPixels - this.top}px)`;
    const used = new Set();
    for (let index = first; index < last; index += 1) {
      const element = this.pool[index % room];
      used.add(element);
      element.style.transform = `translateY(${(index - first) * this.rowPixels}px)`;
      element.hidden = false;
      this.paint(element, index);
    }
    for (const element of this.pool) {
      if (used.has(element) || element.hidden) continue;
      element.hidden = true;
      this.clear(element);
    }
    this.painted(this.first(), Math.min(this.size, Math.ceil((this.top + this.seen) / this.rowPixels)));
  }
}
