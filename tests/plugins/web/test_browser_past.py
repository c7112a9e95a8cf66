"""Scrolling back to events that the page no longer keeps."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.plugins.journal.journals import make_event, write
from tests.plugins.web.served import Served, serving
from tests.waiting import wait_until

COUNT, KEPT = 300, 50
CONFIG = """
[plugins.journal]
directory = "{journal}"

[plugins.web]
max_events = {kept}
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    journal = tmp_path / "journal"
    write(journal, *(make_event(number) for number in range(COUNT)))
    config = tmp_path / "hypervisor.toml"
    config.write_text(CONFIG.format(journal=journal, kept=KEPT))
    with serving("--config", config, "--port", 0) as found:
        wait_until(lambda: not found.get("/api/about")["reading"])
        yield found


def test_older_events_are_read_from_the_journal_when_they_are_asked_for(
    page: Page, served: Served
) -> None:
    page.goto(f"http://127.0.0.1:{served.port}/#token={served.token}")
    rows = page.locator("main")
    expect(rows).to_contain_text(f"number={COUNT - 1}")
    expect(page.locator("body")).to_contain_text(f"{KEPT} events")

    page.keyboard.press("Home")
    expect(rows).to_contain_text("Look for older events")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")

    expect(rows).to_contain_text(f"number={COUNT - KEPT - 1}")


def test_health_says_what_the_journal_holds(page: Page, served: Served) -> None:
    page.goto(f"http://127.0.0.1:{served.port}/#token={served.token}")
    page.goto(f"http://127.0.0.1:{served.port}/#/health")

    history = page.get_by_role("region", name="What is recorded")
    expect(history).to_contain_text(f"events{COUNT}")
    expect(history).to_contain_text("no process at present")
    expect(history).to_contain_text("no anchor was found in it")
    expect(page.locator("body")).to_contain_text("To see it, give a table [state] a directory")


def test_older_events_are_offered_beside_an_opened_event(page: Page, served: Served) -> None:
    page.goto(f"http://127.0.0.1:{served.port}/#token={served.token}")
    expect(page.locator("main")).to_contain_text(f"number={COUNT - 1}")
    page.locator("[data-ordinal]").last.click()
    expect(page.get_by_role("complementary")).to_be_visible()
    page.locator(".live-list").focus()
    page.keyboard.press("Home")

    # A button that does not fit into its column would be left out of the picture, not of the tree.
    offer = page.get_by_role("button", name="Look for older events")
    expect(offer).to_be_visible()
    for width in (1280, 1000, 400):
        page.set_viewport_size({"width": width, "height": 800})
        room = page.locator(".row.offer .cell.summary").bounding_box()
        button = offer.bounding_box()
        assert room is not None
        assert button is not None
        assert button["x"] + button["width"] <= room["x"] + room["width"], width
