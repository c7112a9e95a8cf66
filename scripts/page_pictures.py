"""Take the pictures of the page that the documentation shows, in Debian's Chromium.

Usage: python -m scripts.page_pictures [NAME]...

What is shown is the scenario of the tests, with times and ids that are the same in each run: a
picture changes where the page does.
"""

import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import frozen
from playwright.sync_api import Browser, Page, sync_playwright

from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import HypervisorEvent, HypervisorEventBus, Recorder
from tests.plugins.web import scenario

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
MAX_BYTES = 150_000
"""Most bytes of a picture: readers of the documentation load them all."""

BEGAN = datetime(2026, 11, 28, 14, 3, 0, tzinfo=UTC)
LOOKED_AT = BEGAN + timedelta(seconds=40)
"""What the clocks of the server and of the browser say."""

_ID = re.compile(r"(?<=[\"/-])(?=[0-9a-f]*[0-9])(?:[0-9a-f]{16}|[0-9a-f]{12}|[0-9a-f]{8})\b")
_ADDRESS = re.compile(r"(http://[^\s#]+)#token=(\S+)")
_SERVE = """
import sys
from freezegun import freeze_time
freeze_time(sys.argv.pop(1), tick=True).start()
from hypervisor_observability.cli.main import main
main()
"""


@frozen
class Picture:
    """A picture of a view.

    Attributes:
        name: Of the file, without its ending.
        view: The view's address; ``TRACE`` stands for the id of the scenario's trace.
        ready: A selector of what the view shows last.
        keys: What is pressed before.
    """

    name: str
    view: str
    ready: str
    keys: Sequence[str] = ()
    dark: bool = False
    width: int = 1040
    height: int = 560


ALL = (
    Picture("page-live", "#/", "[data-ordinal]", height=520),
    Picture("page-trace", "#/trace/TRACE", "[role=treeitem], [role=treegrid] [role=row]"),
    Picture(
        "page-trace-dark",
        "#/trace/TRACE",
        "[role=treeitem], [role=treegrid] [role=row]",
        keys=("f",),
        dark=True,
    ),
    Picture("page-agents", "#/agents", "main table, main [role=table]", width=1200),
    Picture("page-sagas", "#/sagas", "main a[href*=trace]"),
    Picture("page-session", f"#/session/{scenario.SESSION}", "main canvas, main svg"),
)


def recast(events: Sequence[HypervisorEvent]) -> list[HypervisorEvent]:
    """Give *events* with times that are a little apart, and ids that are the same in each run."""
    known: dict[str, str] = {}

    def settle(found: re.Match[str]) -> str:
        digest = hashlib.sha256(str(len(known)).encode()).hexdigest()
        return known.setdefault(found[0], digest[: len(found[0])])

    gaps = random.Random(42)  # noqa: S311 - the same gaps each time, no secret
    now = BEGAN
    begun: dict[object, datetime] = {}
    made = []
    for event in events:
        now += timedelta(milliseconds=gaps.randrange(20, 900))
        plain = json.loads(_ID.sub(settle, json.dumps(event.to_dict())))
        plain["timestamp"] = now.isoformat()
        begun[plain["event_id"]] = now
        if "duration_seconds" in plain["payload"]:
            took = now - begun[plain["parent_event_id"]]
            plain["payload"]["duration_seconds"] = took.total_seconds()
        made.append(HypervisorEvent.from_dict(plain))
    return made


@contextmanager
def shown() -> Iterator[tuple[str, str]]:
    """Serve the scenario; give the address with the token, and the id of its first trace."""
    bus = HypervisorEventBus()
    scenario.play(Recorder(bus))
    events = recast(list(bus.all_events))
    trace = next(event.causal_trace_id for event in events if event.causal_trace_id)
    folder = Path(tempfile.gettempdir()) / "agents"  # the page shows it
    folder.mkdir()
    try:
        writer = JournalWriter(folder / "journal")
        for event in events:
            writer.append(event, lambda _: None)
        writer.close()
        server = subprocess.Popen(  # noqa: S603 - our own program
            [
                *(sys.executable, "-c", _SERVE, LOOKED_AT.isoformat()),
                *("serve", "--journal", "journal", "--port", "0"),
            ],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None  # noqa: S101 - tells mypy
            lines = iter(server.stdout.readline, "")
            address = next(found[0] for line in lines if (found := _ADDRESS.search(line)))
            yield address, str(trace).partition("/")[0]
        finally:
            server.kill()
            server.communicate()
    finally:
        shutil.rmtree(folder)


def take(browser: Browser, picture: Picture, address: str, trace: str) -> bytes:
    """Give a picture as PNG."""
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme="dark" if picture.dark else "light",
        locale="en-GB",
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    page: Page = context.new_page()
    page.clock.set_fixed_time(LOOKED_AT)
    page.goto(address)
    page.goto(f"{address.partition('#')[0]}{picture.view.replace('TRACE', trace)}")
    page.wait_for_selector(picture.ready)
    page.wait_for_timeout(1_000)  # until all that was asked for is drawn
    for key in picture.keys:
        page.keyboard.press(key)
        page.wait_for_timeout(300)
    taken = page.screenshot()
    context.close()
    return taken


def main() -> None:
    """Take the pictures that the command line names, or all."""
    chosen = [one for one in ALL if not sys.argv[1:] or one.name in sys.argv[1:]]
    with shown() as (address, trace), sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        for picture in chosen:
            taken = take(browser, picture, address, trace)
            if len(taken) > MAX_BYTES:
                raise SystemExit(f"{picture.name} has {len(taken):,} bytes: {MAX_BYTES:,} at most")
            (PICTURES / f"{picture.name}.png").write_bytes(taken)
            sys.stdout.write(f"{picture.name}: {len(taken):,} bytes\n")
        browser.close()


if __name__ == "__main__":
    main()
