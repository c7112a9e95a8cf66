"""Scrolling back to events that the page no longer keeps."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from hypervisor_observability import EventType
from tests.plugins.journal.journals import make_event, write
from tests.plugins.web.served import Served, serving
from tests.waiting import wait_until

COUNT, KEPT = 300, 50
BREACHES = (90, 120)
CONFIG = """
[plugins.journal]
directory = "{journal}"

[plugins.web]
max_events = {kept}
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    journal = tmp_path / "journal"
    breach = {"event_type": EventType.RING_BREACH_DETECTED}
    write(
        journal,
        *(make_event(number, **(breach if number in BREACHES else {})) for number in range(COUNT)),
    )
    config = tmp_path / "hypervisor.toml"
    config.write_text(CONFIG.format(journal=journal, kept=KEPT))
    with serving("--config", config, "--port", 0) as found:
        wait_until(lambda: not found.get("/api/about")["reading"])
        yield found


def newest(page: Page, served: Served) -> Locator:
    """Open the page; give its list, when it shows the newest event."""
    page.goto(f"http://127.0.0.1:{served.port}/#token={served.token}")
    rows = page.locator("main")
    expect(rows).to_contain_text(f"number={COUNT - 1}")
    return rows


def test_older_events_are_read_from_the_journal_when_they_are_asked_for(
    page: Page, served: Served
) -> None:
    rows = newest(page, served)
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
    newest(page, served)
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


def test_filter_that_nothing_kept_matches_is_looked_for_in_the_journal(
    page: Page, served: Served
) -> None:
    page.goto(f"http://127.0.0.1:{served.port}/#token={served.token}")
    page.goto(f"http://127.0.0.1:{served.port}/#/?filter=number%3D123")
    rows = page.locator("main")
    expect(rows).to_contain_text("No event that the page holds matches the filter.")

    page.get_by_role("button", name="Look among older events").click()

    expect(rows).to_contain_text("number=123")
    expect(page.get_by_text("No event that the page holds")).to_be_hidden()
    expect(page.locator(".live-list")).to_be_focused()


def test_older_events_of_another_filter_are_looked_for_from_the_newest_on(
    page: Page, served: Served
) -> None:
    rows = newest(page, served)
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(rows).to_contain_text(f"number={COUNT - KEPT - 1}")

    page.goto(f"http://127.0.0.1:{served.port}/#/?filter=--type%20'vfs.*'")
    expect(rows).to_contain_text(f"number={COUNT - 1}")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")

    expect(rows).to_contain_text(f"number={COUNT - KEPT - 1}")


def test_older_events_are_offered_again_after_a_look_at_the_newest(
    page: Page, served: Served
) -> None:
    rows = newest(page, served)
    for _ in range(2):
        page.keyboard.press("Home")
        expect(rows).to_contain_text("Look for older events")
        page.keyboard.press("Enter")
        expect(rows).to_contain_text(f"number={COUNT - KEPT - 1}")
        page.keyboard.press("End")
        expect(rows).to_contain_text(f"number={COUNT - 1}")


def test_failures_are_found_among_older_events_that_were_fetched(
    page: Page, served: Served
) -> None:
    rows, chosen = newest(page, served), page.locator(".live-list [aria-selected=true]")
    page.keyboard.press("f")
    expect(
        page.locator("[aria-live]").filter(has_text="Older ones are in the journal")
    ).to_have_count(1)
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(rows).to_contain_text(f"number={COUNT - KEPT - 1}")

    for key, number in (("F", 120), ("F", 90), ("f", 120)):
        page.keyboard.press(key)
        expect(chosen).to_contain_text(f"number={number}")
