// A table that is refreshed in place: rows keep their elements, the focus and the scroll.

import { fill, h } from "./dom.js";
import { tick } from "./parts.js";

const words = new Intl.Collator("en");

/**
 * Make a table.
 *
 * `columns`: `{key, title, cell(row) -> node or text, value(row) -> what it sorts by, number}`; without
 * `value` it does not sort. `id(row)` tells rows apart. `open(row)` is called by Enter and by a click
 * outside links. `sort` is `"key"` or `"-key"` (falling); `onSort` is told of another one. Up, Down,
 * Home and End move between rows; as `keys` of a view they lead into the table.
 */
export function table({ label, columns, id, open, sort = "", onSort = () => {} }) {
  let rows = [];
  let order = sort;
  const made = new Map(); // id -> {element, row, text: the row as it is, drawn: as it is shown}
  const ofElement = new WeakMap(); // the same by the elements
  const sight = new IntersectionObserver(look, { rootMargin: "300px", scrollMargin: "300px" });
  const body = h("tbody");
  const heads = columns.map((column) => head(column));
  const element = h("table", { class: "table", "aria-label": label }, h("thead", {}, h("tr", {}, heads)), body);
  body.addEventListener("keydown", move);
  window.addEventListener("beforeprint", drawAll);

  function head(column) {
    const props = { scope: "col", class: column.number ? "number" : null, "data-key": column.key };
    if (!column.value) return h("th", props, column.title);
    return h("th", props, h("button", { type: "button", class: "sort", onclick: () => turn(column.key) }, column.title));
  }

  function turn(key) {
    const column = columns.find((one) => one.key === key);
    const first = column.number ? `-${key}` : key;
    order = order === first ? (column.number ? key : `-${key}`) : first;
    onSort(order);
    show(rows);
  }

  function sorted() {
    const key = order.replace(/^-/, "");
    const column = columns.find((one) => one.key === key && one.value);
    if (!column) return rows;
    const sense = order.startsWith("-") ? -1 : 1;
    return [...rows].sort((some, other) => sense * compare(column.value(some), column.value(other)));
  }

  function show(newRows) {
    rows = newRows;
    for (const one of heads) {
      const own = order.replace(/^-/, "") === one.dataset.key && order !== "";
      if (own) one.setAttribute("aria-sort", order.startsWith("-") ? "descending" : "ascending");
      else one.removeAttribute("aria-sort");
    }
    const focused = focusIn();
    const shown = new Map(sorted().map((row) => [id(row), row]));
    for (const [key, one] of made) {
      if (shown.has(key)) continue;
      if (focused?.own === one.element) focused.own = one.element.nextElementSibling ?? one.element.previousElementSibling;
      one.element.remove();
      sight.unobserve(one.element);
      made.delete(key);
    }
    let before = null;
    for (const [key, row] of shown) {
      const own = element_of(key, row);
      const place = before ? before.nextElementSibling : body.firstElementChild;
      if (place !== own) body.insertBefore(own, place);
      before = own;
    }
    // What is moved, or made again, loses the focus.
    if (focused && !body.contains(document.activeElement)) (focused.own && links(focused.own)[focused.link] || focused.own)?.focus({ preventScroll: true });
    if (body.firstElementChild && !body.querySelector("tr[tabindex='0']")) body.firstElementChild.tabIndex = 0;
  }

  function element_of(key, row) {
    const text = JSON.stringify(row);
    let one = made.get(key);
    if (!one) {
      one = { element: h("tr", { tabindex: "-1" }), text: "", row };
      ofElement.set(one.element, one);
      sight.observe(one.element);
      one.element.addEventListener("focus", () => rove(one.element));
      if (open) {
        one.element.classList.add("opens");
        one.element.addEventListener("click", (event) => event.target.closest("a, button") || open(one.row));
      }
      made.set(key, one);
    }
    one.row = row;
    one.text = text;
    if (!one.element.away) draw(one);
    return one.element;
  }

  function draw(one) {
    if (one.drawn === one.text) return;
    fill(one.element, columns.map((column) => h("td", { class: column.number ? "number" : null, "data-title": column.title }, column.cell(one.row))));
    one.drawn = one.text;
  }

  // A row out of sight keeps what it shows until it is seen: a thousand rows may change each second.
  function look(entries) {
    for (const { target, isIntersecting } of entries) {
      target.away = !isIntersecting;
      if (isIntersecting && ofElement.has(target)) {
        draw(ofElement.get(target));
        tick(target);
      }
    }
  }

  function drawAll() {
    if (!element.isConnected) window.removeEventListener("beforeprint", drawAll);
    for (const one of made.values()) draw(one);
  }

  /** The row with the focus, and which of its links has it, -1 where the row itself does. */
  function focusIn() {
    const own = document.activeElement?.closest("tr");
    return own && body.contains(own) ? { own, link: links(own).indexOf(document.activeElement) } : null;
  }

  function rove(to) {
    for (const one of body.querySelectorAll("tr[tabindex='0']")) one.tabIndex = -1;
    to.tabIndex = 0;
  }

  function move(event) {
    const own = event.target.closest("tr");
    const to = {
      ArrowDown: own?.nextElementSibling,
      ArrowUp: own?.previousElementSibling,
      Home: body.firstElementChild,
      End: body.lastElementChild,
    }[event.key];
    if (to) {
      event.preventDefault();
      to.focus();
    } else if (event.key === "Enter" && event.target === own && open) {
      event.preventDefault();
      for (const one of made.values()) if (one.element === own) open(one.row);
    }
  }

  // A view's keys: they enter the table from where nothing has the focus.
  function enter(event) {
    const to = { Home: body.firstElementChild, End: body.lastElementChild }[event.key] ?? body.querySelector("tr[tabindex='0']");
    if (event.target !== document.body || !to) return false;
    to.focus();
    return true;
  }

  return { element, show, keys: Object.fromEntries(["ArrowDown", "ArrowUp", "Home", "End"].map((key) => [key, enter])) };
}

function links(row) {
  return [...row.querySelectorAll("a, button")];
}

function compare(some, other) {
  if (some == null || other == null) return (some == null) - (other == null);
  if (typeof some === "number" && typeof other === "number") return some - other;
  return words.compare(String(some), String(other));
}
