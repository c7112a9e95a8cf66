"""The page's own modules, each by itself, in the browser that runs them."""

from typing import Any

import pytest
from playwright.sync_api import Page

from hypervisor_observability.text.durations import duration_text
from tests.plugins.web.browser import Complaints
from tests.plugins.web.shown import Shown

# Random steps, the same each time; the list is compared with one that holds every item.
_COMPARE_LINES = """async () => {
  const { Line } = await import("/js/line.js");
  let seed = 7;
  const random = (below) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor((seed / 2147483648) * below);
  };
  const faults = [];
  for (let round = 0; round < 40; round += 1) {
    const line = new Line();
    const begun = random(3) * 4294967296;
    line.begin(begun, begun);
    let items = []; // what each item is: an ordinal, or {first, count} of a gap
    let next = begun;
    let head = 0;
    for (let step = 0; step < 60; step += 1) {
      const does = random(6);
      const count = 1 + random(9);
      if (does < 2) {
        for (let one = 0; one < count; one += 1) items.push(next + one);
        next += count;
        line.advance(begun, next);
      } else if (does === 2) {
        const last = items.at(-1);
        if (last && last.count) last.count += count;
        else items.push({ first: next, count });
        line.skip(next, count);
        next += count;
      } else if (does === 3 && line.gaps.length) {
        const gap = line.gaps[random(line.gaps.length)];
        const unfolded = Array.from({ length: gap.count }, (_, at) => gap.first + at);
        items = items.flatMap((one) => (one.first === gap.first ? unfolded : [one]));
        line.unfold(gap);
      } else if (does === 4 && head < 20) {
        const past = Array.from({ length: count }, (_, at) => ["past", at]);
        line.prepend(past, random(2) === 1);
      } else if (does === 5 && next > begun) {
        const oldest = line.origin + random(next - line.origin + 1);
        line.advance(oldest, next);
        line.settle();
        items = items.flatMap((one) => {
          if (!one.count) return one >= oldest ? [one] : [];
          const left = one.first + one.count - Math.max(one.first, oldest);
          return left > 0 ? [{ first: Math.max(one.first, oldest), count: left }] : [];
        });
      }
      head = line.head;
      const place = `round ${round}, step ${step}`;
      const size = head + items.length;
      if (line.size !== size) faults.push([place, "size", line.size, size]);
      items.forEach((one, at) => {
        const { gap, ordinal } = line.at(head + at);
        const isSame = one.count
          ? gap?.first === one.first && gap.count === one.count
          : ordinal === one;
        if (!isSame) faults.push([place, "at", at, one, gap, ordinal]);
        const last = one.count ? one.first + one.count - 1 : one;
        for (const each of [one.first ?? one, last]) {
          const index = line.indexOf(each);
          if (index !== head + at) faults.push([place, "indexOf", each, index, head + at]);
        }
      });
      for (let at = line.mayHavePast ? 1 : 0; at < head; at += 1) {
        if (!line.at(at).row) faults.push([place, "past", at]);
      }
    }
  }
  return faults.slice(0, 5);
}"""

_SCROLL_TEN_MILLION = """async () => {
  const { VirtualList } = await import("/js/rows.js");
  const scroller = document.createElement("div");
  Object.assign(scroller.style, { height: "600px", overflow: "auto", overflowAnchor: "none" });
  scroller.style.setProperty("--row", "25");
  document.body.append(scroller);
  const make = () => document.createElement("p");
  const nothing = () => {};
  const told = { paint: nothing, clear: nothing, painted: nothing, scrolled: nothing };
  const head = document.createElement("div");
  const list = new VirtualList({ scroller, head, make, ...told });
  const next = () => new Promise((done) => requestAnimationFrame(done));
  const frame = () => next().then(next);
  const size = 10_000_000;
  list.resize(size);
  const found = { height: parseFloat(list.room.style.height), wrong: [], ends: [], steps: [] };
  // An item that is asked for is the first one, and stays it when the scroll bar says where it is.
  for (const index of [0, 1, 39_999, 40_001, 5_000_000, 9_959_000, 9_999_976]) {
    list.moveTo(index * 25);
    await frame();
    if (list.first() !== index) found.wrong.push([index, list.first()]);
  }
  for (const at of [0, scroller.scrollHeight]) {
    scroller.scrollTop = at;
    await frame();
    found.ends.push(list.first());
  }
  // A turn of the wheel in the middle moves by pixels, not by its share of ten million.
  list.moveTo(125_000_000);
  await frame();
  for (let turn = 0; turn < 4; turn += 1) {
    scroller.scrollTop += 100;
    await frame();
    found.steps.push(list.first() - 5_000_000);
  }
  found.elements = list.pool.length;
  list.close();
  scroller.remove();
  return found;
}"""


@pytest.fixture
def blank(page: Page, shown: Shown, complaints: Complaints) -> Page:
    """The page of a viewer without a token: nothing runs in it."""
    complaints.expect("status of 401")
    page.goto(shown.address)
    return page


def run(page: Page, module: str, expression: str, *arguments: Any) -> Any:
    """Give what *expression* is, with the module as ``it`` and *arguments* as ``a``."""
    return page.evaluate(
        f"async (a) => {{ const it = await import('/js/{module}.js'); return {expression}; }}",
        list(arguments),
    )


def test_list_holds_each_event_once_whatever_is_folded_and_forgotten(blank: Page) -> None:
    assert blank.evaluate(_COMPARE_LINES) == []


def test_list_of_ten_million_rows_can_be_scrolled_to_each_of_them(blank: Page) -> None:
    found = blank.evaluate(_SCROLL_TEN_MILLION)

    assert found["wrong"] == []
    assert found["ends"] == [0, 10_000_000 - 24]
    assert found["steps"] == [4, 8, 12, 16]
    assert found["height"] == 8_000_000
    assert found["elements"] <= 60


def test_filter_is_parted_as_the_server_parts_it(blank: Page) -> None:
    cases = {
        "": [],
        "--type 'ring.*' a": ["--type", "ring.*", "a"],
        """--agent 'it'"'"'s' "two  words" """: ["--agent", "it's", "two  words"],
        "--agent ''": ["--agent", ""],
        "--agent 'open quote": ["--agent", "open quote"],
    }

    parted = "it.words(a[0]).map((one) => one.text)"
    assert {text: run(blank, "filter_words", parted, text) for text in cases} == cases


def test_filter_is_changed_in_place(blank: Page) -> None:
    cases = {
        "it.toggled('a --wrong b', '--wrong')": "a b",
        "it.toggled('a', '--wrong')": "a --wrong",
        """it.toggled("'--wrong x'", '--wrong')""": "'--wrong x' --wrong",
        "it.narrowed('x --type a.b y', '--type', 'c.d')": "x --type c.d y",
        "it.narrowed('x', '--agent', 'lead')": "x --agent lead",
    }
    assert {case: run(blank, "filter_words", case) for case in cases} == cases


def test_values_are_quoted_so_that_they_are_one_word(blank: Page) -> None:
    for value in ("lead", "it's", 'say "x"', "two words", "--type", "", "*"):
        quoted = run(blank, "address", "it.quoted(a[0])", value)
        words = run(blank, "filter_words", "it.words(a[0]).map((one) => one.text)", quoted)
        assert words == [value]


def test_address_gives_back_what_it_was_made_of(blank: Page) -> None:
    parts, query = ["session", "a/b?c#d %"], {"filter": "--agent 'x & y'", "only": "failed"}

    found = run(blank, "address", "it.parse(it.href(a[0], a[1]))", parts, query)

    assert found == {"name": "session", "params": [parts[1]], "query": query}
    assert run(blank, "address", "it.href(['trace', 'x'], {only: ''})") == "#/trace/x"
    assert run(blank, "address", "it.parse('#/trace/%zz').params") == ["%zz"]


def test_durations_read_as_they_do_on_the_terminal(blank: Page) -> None:
    exact = [0, 999, 1_000, 999_499, 999_500, 1_500_000, 59_994_999, 59_996_000, 3_599_600_000]
    cases = {us: duration_text(us / 1e6) for us in [*exact, 10**10, 10**12]}

    assert {us: run(blank, "format", "it.duration(a[0])", us) for us in cases} == cases


def test_numbers_and_times_are_written_for_people(blank: Page) -> None:
    moment = 1_700_000_000_123_456
    cases = {
        "it.count(1234567)": "1,234,567",
        "it.many(1, 'event')": "1 event",
        "it.many(2000, 'event')": "2,000 events",
        "it.bytes(512)": "512 B",
        "it.bytes(1536)": "1.5 KiB",
        "it.bytes(64 * 1048576)": "64 MiB",
        f"it.time({moment})": "22:13:20.123",
        f"it.moment({moment})": "2023-11-14 22:13:20",
        f"it.utc({moment})": "2023-11-14 22:13:20.123456 UTC",
        "it.time(1e300)": "?",
        "it.time(null)": "?",
        f"it.ago({moment}, {moment} + 400000)": "now",
        f"it.ago({moment}, {moment} + 65e6)": "1 m ago",
        f"it.ago({moment}, {moment} - 5e6)": "in 5 s",
    }
    assert {case: run(blank, "format", case) for case in cases} == cases


def test_nothing_that_could_run_can_be_made(blank: Page) -> None:
    attempts = [
        "it.h('p', {innerHTML: '<b>'})",
        "it.h('p', {style: 'color: red'})",
        "it.h('iframe', {srcdoc: '<b>'})",
        "it.h('p', {onclick: 'alert(1)'})",
        "it.h('a', {href: 'javascript:alert(1)'})",
        "it.h('a', {href: '//elsewhere.example/'})",
    ]
    for made in attempts:
        tried = f"(() => {{ try {{ {made}; }} catch (error) {{ return error.name; }} }})()"
        assert run(blank, "dom", tried) == "TypeError", made
