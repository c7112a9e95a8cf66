"""The view LIVE: opening it over 100,000 events, jumping in it, and events that keep coming."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from urllib.request import Request, urlopen

from attrs import define, field
from playwright.sync_api import Browser, Page

from benchmarks.measured import Figures
from benchmarks.web.chromium import (
    condition,
    heap_bytes,
    longest_frame_seconds,
    opened,
    seconds_until,
)
from benchmarks.web.processes import Recording, Served, recording, serving

# The highest ordinal that is on the screen; -1 where there is no row.
_NEWEST = """Math.max(-1, ...[...document.querySelectorAll("[data-ordinal]")]
    .map((row) => Number(row.dataset.ordinal)))"""

_NUMBER = re.compile(r"src/steady-(\d+)\.py")

# When each new row was first seen, in milliseconds since the epoch; in memory of a fixed size.
_SEEN = f"""
bench.seen = new Float64Array(200_000);
bench.seenCount = 0;
let newest = -1;
bench.eachFrame = () => {{
    const now = {_NEWEST};
    if (now <= newest || bench.seenCount + 2 > bench.seen.length) return;
    newest = now;
    bench.seen[bench.seenCount++] = now;
    bench.seen[bench.seenCount++] = performance.timeOrigin + performance.now();
}};
"""

# Scroll to a part of the list; give the milliseconds until rows of that part fill the window.
_JUMP = """async (part) => {
    const list = document.querySelector("[data-ordinal]").closest("[role=grid]");
    const rows = () => [...list.querySelectorAll("[data-ordinal]")];
    const before = new Set(rows().map((row) => row.dataset.ordinal));
    const began = performance.now();
    list.scrollTop = part * (list.scrollHeight - list.clientHeight);
    const filled = () => {
        const box = list.getBoundingClientRect();
        const shown = rows().filter((row) => {
            const at = row.getBoundingClientRect();
            return at.bottom > box.top && at.top < box.bottom;
        });
        const height = shown.reduce((sum, row) => sum + row.getBoundingClientRect().height, 0);
        return height > 0.7 * box.height
            && shown.every((row) => !row.matches("[aria-busy=true]"))
            && shown.some((row) => !before.has(row.dataset.ordinal));
    };
    while (!filled()) {
        if (performance.now() - began > 10_000) return 10_000;
        await new Promise(requestAnimationFrame);
    }
    return performance.now() - began;
}"""


def opening(browser: Browser, folder: Path, *, events: int) -> Iterator[Figures]:
    """Open LIVE over *events*, again and again: ``painted``, ``rows``, ``jump`` at the 95th."""
    with recording(str(folder)) as recorder:
        recorder.ask(f"events {events}")
    with serving(folder) as served:
        _wait_for_events(served, events)
        while True:
            with opened(browser, condition("rows", f"{_NEWEST} >= 0")) as page:
                page.goto(served.link)
                rows = seconds_until(page, "rows")
                paint = page.evaluate(
                    "performance.getEntriesByName('first-contentful-paint')[0].startTime"
                )
                parts = [(number * 0.381966) % 1 for number in range(1, 41)]
                jumps = [page.evaluate(_JUMP, part) / 1_000 for part in parts]
                yield {"painted": paint / 1_000, "rows": rows, "jump": quantiles(jumps, n=20)[-1]}


def steady(browser: Browser, folder: Path, *, rate: int, seconds: int) -> Figures:
    """Watch *rate* events a second for some time.

    Gives ``missing`` (that a viewer did not get) and ``untold`` (of these, those that it was not
    told of), ``usual`` and ``late`` (a half and 99 % of the events that it got were on the screen
    by then), ``heap``, ``frame``, and of the server ``cores``, and ``memory`` at most.
    """
    with recording(str(folder)) as recorder:
        recorder.ask("events 50")
        with (
            serving(folder) as served,
            opened(browser, _SEEN, condition("rows", f"{_NEWEST} >= 0")) as page,
            listening(served) as viewer,
        ):
            page.goto(served.link)
            seconds_until(page, "rows")
            settled = page.evaluate("performance.now()")
            used, began, memory = served.cpu_seconds(), time.monotonic(), 0
            recorder.tell(f"steady {rate} {seconds}")
            while time.monotonic() - began < seconds:
                time.sleep(0.5)
                memory = max(memory, served.resident_bytes())
            took = time.monotonic() - began
            cores = (served.cpu_seconds() - used) / took
            emitted = recorder.answer()["emitted"]
            assert isinstance(emitted, list)
            # What the library tells of itself is among them.
            events = _wait_for_events(served, 50 + len(emitted))
            viewer.wait_for(events)
            page.wait_for_timeout(500)
            late = _late_seconds(
                page, dict(zip(viewer.numbers, viewer.ordinals, strict=True)), emitted
            )
            return {
                "missing": len(emitted) - len(viewer.numbers),
                "untold": viewer.untold,
                "usual": late[49],
                "late": late[98],
                "heap": heap_bytes(page),
                "frame": longest_frame_seconds(page, settled),
                "cores": cores,
                "memory": memory,
            }


def unfinished(browser: Browser, folder: Path, *, calls: int) -> Figures:
    """Begin calls of a tool in another process; ``shown``: the 95th, on the screen after that."""
    with recording(str(folder)) as recorder:
        recorder.ask("events 50")
        with serving(folder) as served, opened(browser) as page:
            page.goto(served.link)
            page.wait_for_selector("[data-ordinal]")
            times = [
                _seconds_to_screen(page, recorder, f"tool-{number}-") for number in range(calls)
            ]
    return {"shown": quantiles(times, n=20)[-1]}


def _seconds_to_screen(page: Page, recorder: Recording, name: str) -> float:
    page.evaluate(
        """(name) => {
            delete bench.found.tool;
            bench.conditions.tool = () => document.body.textContent.includes(name)
                && performance.timeOrigin + performance.now();
        }""",
        name,
    )
    began = recorder.ask(f"tool {name}")["began"]
    assert isinstance(began, float)
    shown = seconds_until(page, "tool")
    recorder.ask("end")
    return shown - began


def _late_seconds(page: Page, places: dict[int, int], emitted: list[float]) -> list[float]:
    """Give the percentiles of how long events took to the screen; *places*: ordinals by number."""
    flat: list[float] = page.evaluate("[...bench.seen.slice(0, bench.seenCount)]")
    frames = iter(zip(flat[::2], flat[1::2], strict=True))
    newest, milliseconds = next(frames)
    late = []
    for number, ordinal in sorted(places.items()):
        while newest < ordinal:
            newest, milliseconds = next(frames, (float("inf"), float("inf")))
        late.append(milliseconds / 1_000 - emitted[number])
    return quantiles(late, n=100)


@define(eq=False)
class Viewer:
    """A viewer without a screen: counts what a stream gives.

    Attributes:
        rows: How many rows it got.
        left_out: How many it was told of, that it did not get.
        untold: How many it neither got nor was told of.
        numbers: Of the events in ``steady`` that it got.
        ordinals: Their places in the stream.
    """

    rows: int = 0
    left_out: int = 0
    untold: int = 0
    numbers: list[int] = field(factory=list)
    ordinals: list[int] = field(factory=list)
    _next: int = 0
    _changed: threading.Condition = field(factory=threading.Condition)

    def read(self, lines: Iterator[bytes]) -> None:
        """Count until the stream ends."""
        for line in lines:
            message = json.loads(line)
            with self._changed:
                if "first" in message:
                    self.untold += message["first"] - self._next
                    self._next = message["first"] + message.get(
                        "count", len(message.get("rows", ()))
                    )
                if message["t"] == "rows":
                    self.rows += len(message["rows"])
                    for ordinal, row in enumerate(message["rows"], message["first"]):
                        if found := _NUMBER.search(row[9] or ""):
                            self.numbers.append(int(found[1]))
                            self.ordinals.append(ordinal)
                elif message["t"] == "skipped":
                    self.left_out += message["count"]
                self._changed.notify_all()

    def wait_for(self, events: int, timeout: float = 60.0) -> None:
        """Return once *events* have come or were told of, at the latest after *timeout* seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.rows + self.left_out >= events, timeout)


@contextmanager
def listening(served: Served) -> Iterator[Viewer]:
    """Follow all events from the first on, beside the browser."""
    viewer = Viewer()
    answer = urlopen(_asking(served, "api/live?from=0"), timeout=60)
    thread = threading.Thread(target=viewer.read, args=(answer,), daemon=True)
    thread.start()
    yield viewer


def _wait_for_events(served: Served, events: int) -> int:
    """Return once the server knows of so many; give how many it knows of."""
    deadline = time.monotonic() + 60
    while True:
        with urlopen(_asking(served, "api/rows?first=0&count=1"), timeout=60) as answer:
            known: int = json.load(answer)["next"]
        if known >= events or time.monotonic() > deadline:
            return known
        time.sleep(0.1)


def _asking(served: Served, path: str) -> Request:
    return Request(f"{served.address}{path}", headers={"Authorization": f"Bearer {served.token}"})
