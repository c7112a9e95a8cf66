"""A real Chromium, and what it tells of the page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks.rounds import BenchmarkError

PATIENCE_SECONDS = 120

_OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")

# Begins before the page's own scripts. `bench.watch(condition)` looks at each frame, once it is
# painted, and notes the first at which the condition holds; `bench.frames` are the long ones.
_WATCHER = """
globalThis.bench = {frames: [], found: {}, conditions: {}};
new PerformanceObserver((list) => {
    for (const one of list.getEntries()) bench.frames.push([one.startTime, one.duration]);
}).observe({type: "long-animation-frame", buffered: true});
const channel = new MessageChannel();
channel.port1.onmessage = () => {
    for (const [name, holds] of Object.entries(bench.conditions)) {
        const found = holds();
        if (found) {
            bench.found[name] = found === true ? performance.now() : found;
            delete bench.conditions[name];
        }
    }
    bench.eachFrame?.();
};
bench.loop = () => { channel.port2.postMessage(0); requestAnimationFrame(bench.loop); };
requestAnimationFrame(bench.loop);
"""


@contextmanager
def browser() -> Iterator[Browser]:
    """Start Chromium."""
    program = shutil.which("chromium")
    if program is None:
        raise BenchmarkError("there is no chromium on PATH")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=list(_OPTIONS))
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(browser: Browser, *scripts: str) -> Iterator[Page]:
    """Give an empty page with a cache of its own; *scripts* run in it before its own."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_SECONDS * 1_000)
    for script in (_WATCHER, *scripts):
        context.add_init_script(script)
    try:
        yield context.new_page()
    finally:
        context.close()


def seconds_until(page: Page, name: str) -> float:
    """When the condition *name* held first, since the page was asked for."""
    page.wait_for_function("(name) => name in bench.found", arg=name)
    milliseconds: float = page.evaluate("(name) => bench.found[name]", name)
    return milliseconds / 1_000


def condition(name: str, expression: str) -> str:
    """A script that looks for *expression* from the beginning of a page."""
    return f"bench.conditions[{name!r}] = () => {expression};"


def longest_frame_seconds(page: Page, since_milliseconds: float = 0.0) -> float:
    """The longest frame that began since then; frames under 50 ms are not told, and count as 0."""
    found: float = page.evaluate(
        "(since) => Math.max(0, ...bench.frames.filter(([at]) => at >= since).map(([, d]) => d))",
        since_milliseconds,
    )
    return found / 1_000


@define(eq=False)
class Meter:
    """Measures how long the main thread of a page works: scripts, styles, layout.

    Its counters begin when it is made, as Chromium's do.
    """

    _session: CDPSession

    @classmethod
    def of(cls, page: Page) -> "Meter":
        """Begin to count."""
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        return cls(session)

    def seconds(self) -> float:
        """How long it has worked so far."""
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        known = {one["name"]: one["value"] for one in metrics}
        return float(sum(known[f"{one}Duration"] for one in ("Script", "Layout", "RecalcStyle")))


def heap_bytes(page: Page) -> float:
    """What the page's scripts hold once the garbage is collected."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used
