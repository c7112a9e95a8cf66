"""The view of a trace: how soon it is drawn, and what it takes to scroll in it."""

from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

from playwright.sync_api import Browser

from benchmarks.measured import Figures
from benchmarks.web.chromium import (
    Meter,
    condition,
    longest_frame_seconds,
    opened,
    seconds_until,
)
from benchmarks.web.processes import recording, serving

_SCROLLS = 60
# The first answer of the tree is there: what is drawn after it counts.
_ANSWERED = """performance.getEntriesByType("resource")
    .filter((one) => one.name.includes("/api/trace")).map((one) => one.responseEnd)[0]"""


def tracing(browser: Browser, folder: Path, *, pieces: int) -> Iterator[Figures]:
    """Open a trace of *pieces*, again and again.

    Gives ``drawn`` (from the answer to the first rows), ``first`` (from the address to the first
    rows, where the server has to read the trace), later ``opened`` (the same, where it knows it),
    ``scroll`` (work of the page for one) and ``frame`` (the longest).
    """
    with recording(str(folder)) as recorder:
        trace = recorder.ask(f"trace {pieces}")["trace"]
    with serving(folder) as served:
        rows = "document.querySelectorAll('[role=treeitem], [role=treegrid] [role=row]').length > 5"
        for name in chain(["first"], repeat("opened")):
            with opened(browser, condition("rows", rows)) as page:
                page.goto(f"{served.link}&/trace/{trace}")
                shown = seconds_until(page, "rows")
                answered = page.evaluate(_ANSWERED) / 1_000
                page.wait_for_timeout(500)
                row = page.locator("[role=treeitem], [role=treegrid] [role=row]").nth(5)
                box = row.bounding_box()
                assert box is not None
                page.mouse.move(box["x"] + 20, box["y"] + 5)
                meter = Meter.of(page)
                before = meter.seconds()
                for _ in range(_SCROLLS):
                    page.mouse.wheel(0, 400)
                    page.evaluate("new Promise(requestAnimationFrame)")
                yield {
                    "drawn": shown - answered,
                    name: shown,
                    "scroll": (meter.seconds() - before) / _SCROLLS,
                    "frame": longest_frame_seconds(page),
                }
