"""A real Chromium for tests of the page, which complains of whatever the page must not do.

Tests ask for the fixtures ``page``, ``open_page`` and ``shown``; the conftest beside has them.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from tests.programs import found_or_skip

REPOSITORY = Path(__file__).parents[3]
PATIENCE_SECONDS = 60
"""How long the page may take for anything before a test fails: machines of CI are slow."""
_OPTIONS = (
    "--no-sandbox",  # which needs privileges that containers do not give
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--font-render-hinting=none",
)
# A violation of the policy is an error of the console, with the directive and what it stopped.
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => console.error(
    `policy violated: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""


@define(eq=False)
class Chromium:
    """One browser, shared by the tests of a process.

    Its driver keeps an event loop that runs between its calls. ``in_use`` hides that loop from
    all other tests of the process, which would find that ``asyncio.run`` refuses to start.
    """

    browser: Browser
    _loop: asyncio.AbstractEventLoop | None

    @classmethod
    @contextlib.contextmanager
    def launched(cls) -> Iterator["Chromium"]:
        """Start the browser, and end it."""
        program = found_or_skip(
            "Chromium",
            lambda: shutil.which("chromium"),
            "Install it (Debian: apt-get install --no-install-recommends chromium).",
        )
        expect.set_options(timeout=PATIENCE_SECONDS * 1_000)
        driver = sync_playwright().start()
        try:
            browser = driver.chromium.launch(executable_path=program, args=list(_OPTIONS))
            made = cls(browser, asyncio.events._get_running_loop())
            made._hide_loop()
            try:
                yield made
            finally:
                made._show_loop()
                browser.close()
        finally:
            driver.stop()

    @contextlib.contextmanager
    def in_use(self) -> Iterator[Browser]:
        """Give the browser to one test, until it ends."""
        self._show_loop()
        try:
            yield self.browser
        finally:
            self._hide_loop()

    def _show_loop(self) -> None:
        asyncio.events._set_running_loop(self._loop)

    def _hide_loop(self) -> None:
        asyncio.events._set_running_loop(None)


@define(eq=False, slots=False)  # playwright notes its wrappers at the object
class Complaints:
    """What pages of one test did that no page may do.

    Attributes:
        found: Errors and warnings of the console, uncaught exceptions, violations of the
            policy, and requests to another origin than the page's; as text.
    """

    found: list[str] = field(factory=list)
    _expected: list[str] = field(factory=list)

    def expect(self, *patterns: str) -> None:
        """Let pass what a test brings about on purpose, by regular expressions."""
        self._expected += patterns

    def watch(self, context: BrowserContext) -> None:
        """Listen to every page of *context*."""
        context.add_init_script(_TELL_VIOLATIONS)
        context.on("weberror", lambda error: self.found.append(f"uncaught: {error.error}"))
        context.on("request", self._check_origin)
        context.on(
            "console",
            lambda message: (
                self.found.append(
                    f"console: {message.type}: {message.text} ({message.location['url']})"
                )
                if message.type in {"error", "warning", "assert"}
                else None
            ),
        )

    def check(self) -> None:
        """Fail if there is a complaint that the test has not expected."""
        left = [
            one for one in self.found if not any(re.search(each, one) for each in self._expected)
        ]
        assert not left, "\n".join(["the page did what no page may do:", *left])

    def _check_origin(self, request: Request) -> None:
        if request.is_navigation_request() and request.frame.parent_frame is None:
            return  # a test's own; its answer is what the other requests are held against
        asked, page = urlsplit(request.url), urlsplit(request.frame.url)
        if asked.scheme != "data" and asked[:2] != page[:2]:
            self.found.append(f"request to another origin: {request.url}")


def opener(browser: Browser, complaints: Complaints) -> Callable[..., Page]:
    """Give what opens an empty page in a context of its own.

    The function takes ``width`` and ``height`` in pixels, ``dark``, and the options of
    ``Browser.new_context``.
    """

    def open_page(
        width: int = 1280, height: int = 800, *, dark: bool = False, **options: Any
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale="en-GB",
            timezone_id="UTC",
            **options,
        )
        context.set_default_timeout(PATIENCE_SECONDS * 1_000)
        complaints.watch(context)
        return context.new_page()

    return open_page


def serious_findings(page: Page) -> list[str]:
    """What axe finds in *page* that is serious or critical, a line each."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_axe().read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['impact']}: {one['id']}: {one['help']}: {node['target']} {node['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


def heap_bytes(page: Page) -> int:
    """How much memory the scripts of *page* hold once the garbage is collected."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: int = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used


def sideways_pixels(page: Page) -> int:
    """By how much the page is wider than its window; 0 where nothing scrolls sideways."""
    found: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return found


def _axe() -> Path:
    folder = Path(os.environ.get("HVOBS_AXE", REPOSITORY / ".servers/node_modules/axe-core"))
    version = axe_version()
    return found_or_skip(
        f"axe-core {version}",
        lambda: (folder / "axe.min.js") if _is_version(folder, version) else None,
        f"Run npm install --prefix .servers axe-core@{version}, or name the folder that it is in"
        " with HVOBS_AXE.",
    )


def axe_version() -> str:
    """The version that CI installs: another finds other faults."""
    found = re.search(r"^axe=(\S+)$", (REPOSITORY / ".ci/run").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def _is_version(folder: Path, version: str) -> bool:
    package = folder / "package.json"
    return package.is_file() and json.loads(package.read_text())["version"] == version
