"""Agents, sagas, traces, sessions and health in a real browser."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from hypervisor_observability import EventType, HypervisorEvent
from tests.plugins.web import scenario
from tests.plugins.web.browser import serious_findings, sideways_pixels
from tests.plugins.web.shown import Shown

HOSTILE = "<img src=x onerror=alert(1)>\u202e\u2066" + "W" * 300
VIEWS = ("traces", "agents", "sagas", "session", f"session/{scenario.SESSION}", "health")


@pytest.fixture
def played(shown: Shown) -> Shown:
    scenario.play(shown.observability.recorder)
    assert shown.observability.flush(timeout=60)
    return shown


def row(page: Page, text: str) -> Locator:
    return page.locator("tbody tr").filter(has_text=text)


def cell(page: Page, of: str, column: str) -> Locator:
    return row(page, of).locator(f"td[data-title='{column}']")


def test_agents_say_what_they_work_on_in_which_ring_and_what_was_refused(
    played: Shown, page: Page
) -> None:
    played.open(page, "#/agents")

    expect(cell(page, "watcher", "State")).to_contain_text("running")
    expect(cell(page, "watcher", "Ring")).to_contain_text(
        re.compile(r"ring 1.*elevated, end in (59 m|1 h)")
    )
    expect(cell(page, "watcher", "Works on")).to_contain_text("step back up")
    expect(cell(page, "rogue", "State")).to_contain_text("killed")
    expect(cell(page, "lead", "Refused")).to_have_text("deploy 2")
    expect(cell(page, "builder", "Failed")).to_have_text("fetch 1")
    expect(cell(page, "rogue", "Failed")).to_have_text("own work 1")
    expect(cell(page, "lead", "Cost")).to_have_text("0.004 EUR")
    page.get_by_role("link", name="step back up").click()
    expect(page).to_have_url(re.compile(r"#/trace/[0-9a-f]{32}$"))
    page.go_back()
    cell(page, "lead", "Breaches").get_by_role("link").click()
    expect(page).to_have_url(re.compile("type\\+ring.breach_detected"))


def test_what_an_agent_begins_and_ends_is_seen_without_a_reload(played: Shown, page: Page) -> None:
    played.open(page, "#/agents")
    expect(cell(page, "watcher", "State")).to_contain_text("running")

    scenario.end_watch(played.observability.recorder, "no answer")

    expect(cell(page, "watcher", "State")).to_contain_text("idle")
    expect(cell(page, "watcher", "Ring")).to_have_text("ring 3")
    expect(cell(page, "watcher", "Tools used")).to_have_text("poll 1")


def test_filter_and_order_of_agents_stand_in_the_address(played: Shown, page: Page) -> None:
    played.open(page, "#/agents")
    expect(page.locator("tbody tr")).to_have_count(4)
    page.keyboard.press("/")
    page.keyboard.type("release-42")
    page.get_by_role("button", name="Tokens").click()

    expect(page.locator("tbody tr")).to_have_count(3)
    expect(page.locator("tbody tr").first).to_contain_text("lead")
    expect(page).to_have_url(re.compile(r"filter=release-42&sort=-tokens"))
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(page.get_by_role("columnheader", name="Tokens")).to_have_attribute(
        "aria-sort", "descending"
    )


def test_arrows_enter_a_table_and_escape_leaves_its_filter(played: Shown, page: Page) -> None:
    played.open(page, "#/agents")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(4)
    page.keyboard.press("ArrowDown")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()

    page.keyboard.press("/")
    page.keyboard.type("release-42")
    expect(rows).to_have_count(3)
    page.keyboard.press("Escape")
    page.keyboard.press("End")
    expect(rows.nth(2)).to_be_focused()
    expect(page.get_by_role("searchbox")).to_have_value("release-42")


def test_help_lists_what_the_view_has(played: Shown, page: Page) -> None:
    played.open(page)
    for place, heading, told, untold in (
        ("#/", "Live", "--type", "Another session"),
        ("#/traces", "Traces", "Next trace that failed", "--type"),
        ("#/session", "Sessions", "Another session", "Time axis"),
        (f"#/session/{scenario.SESSION}", scenario.SESSION, "Time axis", "Another session"),
    ):
        page.evaluate("place => { location.hash = place; }", place)
        expect(page.locator("main h1")).to_contain_text(heading)
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_contain_text(told)
        expect(page.get_by_role("dialog")).not_to_contain_text(untold)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_focus_and_scroll_stay_while_rows_change(shown: Shown, page: Page) -> None:
    def seen(number: int) -> HypervisorEvent:
        return HypervisorEvent(
            event_type=EventType.SESSION_JOINED,
            agent_did=f"did:mesh:{number:04}",
            payload={"name": f"agent-{number:04}"},
        )

    shown.emit_all(seen(number) for number in range(1_000))
    shown.open(page, "#/agents?sort=agent")
    expect(page.locator("tbody tr")).to_have_count(1_000)
    link = page.get_by_role("link", name="agent-0500", exact=True)
    link.focus()
    before = page.evaluate("document.getElementById('view').scrollTop")
    assert before > 1_000

    shown.emit(seen(500), seen(1_000))

    # The one that was seen longest ago has gone.
    expect(page.locator(".board-note")).to_contain_text("1 seen longer ago are left out")
    expect(row(page, "agent-0000")).to_have_count(0)
    expect(link).to_be_focused()
    assert abs(page.evaluate("document.getElementById('view').scrollTop") - before) < 200


def test_sagas_stand_in_lanes_with_their_steps(played: Shown, page: Page) -> None:
    played.open(page, "#/sagas")
    undone = page.get_by_role("region", name="Undone")

    expect(undone.locator(".step")).to_have_text(
        ["↶reserve, undone", "✗charge, failed", "↶undo-reserve, compensated"]
    )
    expect(undone).to_contain_text("ConnectionError: the bank does not answer")
    expect(page.get_by_role("region", name="Escalated")).to_contain_text("notify-1")
    expect(page.get_by_role("region", name="Committed")).to_contain_text("publish-1")
    running = page.get_by_role("region", name="Running")
    expect(running.locator(".step")).to_contain_text(["back up"])
    page.keyboard.press("f")
    expect(page.get_by_role("link", name="notify", exact=True)).to_be_focused()

    scenario.end_watch(played.observability.recorder)

    expect(running).to_contain_text("none")
    expect(page.get_by_role("region", name="Committed")).to_contain_text("nightly-1")
    expect(page.get_by_role("link", name="notify", exact=True)).to_be_focused()


def test_traces_are_chosen_by_how_they_stand(played: Shown, page: Page) -> None:
    played.open(page, "#/traces")
    expect(page.locator("tbody tr")).to_have_count(2)

    page.get_by_role("button", name="failed 1").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(cell(page, "release", "Outcome")).to_contain_text("failed")
    expect(cell(page, "release", "Refusals")).to_have_text("2")
    expect(page).to_have_url(re.compile("state=failed"))
    page.keyboard.press("f")
    expect(row(page, "release")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#/trace/"))


def test_running_trace_grows_and_ends(played: Shown, page: Page) -> None:
    played.open(page, "#/traces?state=running")
    took = cell(page, "watch", "Took")
    before = took.inner_text()
    expect(took).not_to_have_text(before)

    scenario.end_watch(played.observability.recorder)

    expect(page.get_by_text("No trace is like that")).to_be_visible()


def test_session_is_drawn_and_listed(played: Shown, page: Page) -> None:
    played.open(page, "#/session")
    page.get_by_role("link", name=scenario.SESSION).click()

    expect(page.get_by_role("img")).to_have_accessible_name(
        re.compile(r"3 agents, 13 pieces of work, 1 handoff, over")
    )
    expect(page.get_by_role("region", name="Handoffs").locator("li")).to_contain_text(
        ["lead→builderneeds a build"]
    )
    expect(page.get_by_role("region", name="Files").locator("li")).to_have_count(3)
    expect(page.get_by_role("region", name="Decisions")).to_contain_text("erase_disk")
    assert drawn_colours(page) > 3
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile("zoom=2"))
    page.get_by_role("link", name="in Live").click()
    expect(page).to_have_url(re.compile("session\\+release-42"))


def drawn_colours(page: Page) -> int:
    """How many colours the picture has: an empty one has one."""
    found: int = page.evaluate(
        """() => {
            const canvas = document.querySelector("canvas");
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return new Set(new Uint32Array(data.buffer)).size;
        }"""
    )
    return found


def test_session_that_nobody_knows_is_told_in_words(
    shown: Shown, page: Page, complaints: Any
) -> None:
    complaints.expect("404")
    shown.open(page, "#/session/never")

    expect(page.get_by_text("There is no such session here")).to_be_visible()
    expect(page.get_by_role("link", name="All sessions")).to_be_visible()


def test_health_accounts_for_every_event_of_each_plugin(played: Shown, page: Page) -> None:
    played.open(page, "#/health")

    expect(cell(page, "web", "State")).to_contain_text("running")
    expect(cell(page, "web", "Breaker")).to_have_text("closed")
    expect(cell(page, "web", "Delivered")).to_have_text(cell(page, "web", "Emitted").inner_text())
    expect(page.get_by_text("It keeps no journal")).to_be_visible()
    expect(page.get_by_role("region", name="This page")).to_contain_text("most events100,000")


@pytest.mark.parametrize("view", VIEWS)
def test_views_say_what_to_do_where_there_is_nothing(
    shown: Shown, page: Page, complaints: Any, view: str
) -> None:
    complaints.expect("404")
    shown.open(page, f"#/{view}")

    expect(page.locator("#view")).to_contain_text(
        re.compile("hvobs demo|nothing was recorded of this session|keeps no journal")
    )


def test_board_says_that_the_server_is_gone_and_goes_on_when_it_is_back(
    played: Shown, page: Page, complaints: Any
) -> None:
    complaints.expect("ERR_", "Failed to load")
    played.open(page, "#/sagas")
    expect(page.locator("#connection")).to_have_text("connected")
    page.context.set_offline(True)

    expect(page.locator("#connection")).to_have_text("the server does not answer")
    expect(page.get_by_role("region", name="Running")).to_contain_text("nightly")
    page.context.set_offline(False)
    expect(page.locator("#connection")).to_have_text("connected")


@pytest.mark.parametrize(("width", "dark"), [(1_280, False), (400, True)])
def test_views_with_hostile_names_stay_readable_and_accessible(
    shown: Shown, open_page: Callable[..., Page], width: int, dark: bool
) -> None:
    recorder = shown.observability.recorder
    scenario.play(recorder)
    with (
        recorder.session(HOSTILE[:200]),
        recorder.agent(f"did:{HOSTILE}", name=HOSTILE, ring=2),
        recorder.saga(HOSTILE) as saga,
        saga.step(HOSTILE),
        recorder.tool(HOSTILE),
    ):
        recorder.handoff(HOSTILE, reason=HOSTILE)
        recorder.vfs.write(HOSTILE)
        recorder.breach(HOSTILE, ring=2)
    assert shown.observability.flush(timeout=60)
    page = open_page(width, dark=dark)
    shown.open(page, "#/")
    for view in VIEWS:
        page.goto(f"{shown.address}#/{view}")
        expect(page.locator(".board-body")).not_to_be_empty()
        expect(page.locator("#view img")).to_have_count(0)
        assert sideways_pixels(page) == 0, view
        assert serious_findings(page) == [], view
