"""LIVE in a real browser: the newest events, and how one finds a way among them."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from hypervisor_observability import CausalTraceId, EventType, HypervisorEvent, Observability
from hypervisor_observability.config import Secret
from hypervisor_web import WebConfig, WebPlugin
from tests.plugins.web import scenario
from tests.plugins.web.beside import Serving
from tests.plugins.web.browser import Complaints, serious_findings, sideways_pixels
from tests.plugins.web.shown import TOKEN, Shown
from tests.waiting import wait_until

AGENT = "did:mesh:planner"
HOSTILE = [
    "<script>alert(1)</script>",
    "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
    "\N{ARABIC LETTER AIN}\N{ARABIC LETTER ALEF}",
    "x" * 300,
    "</bdi><img src=x onerror=alert(1)>",
]


def event(
    number: int, event_type: EventType = EventType.VFS_WRITE, **fields: Any
) -> HypervisorEvent:
    fields = {
        "agent_did": AGENT,
        "session_id": "s-1",
        "causal_trace_id": f"{number // 10 + 1:016x}/{number + 1:08x}",
        "payload": {"path": f"/file-{number}"},
        **fields,
    }
    return HypervisorEvent(event_type=event_type, **fields)


def failed(number: int) -> HypervisorEvent:
    return event(number, EventType.SAGA_STEP_FAILED, payload={"step_id": f"broken-{number}"})


def row(page: Page, text: str) -> Locator:
    return page.locator("[data-ordinal]", has=page.get_by_text(text, exact=True))


def is_at_end(page: Page) -> bool:
    found: bool = page.evaluate(
        "(() => { const one = document.querySelector('.live-list');"
        " return one.scrollTop + one.clientHeight >= one.scrollHeight - 2; })()"
    )
    return found


def query_of(page: Page) -> str:
    found: str = page.evaluate("decodeURIComponent(location.hash).replaceAll('+', ' ')")
    return found


@pytest.fixture
def five(shown: Shown) -> Shown:
    """Five events have come: three files, and two steps that failed."""
    shown.emit(event(0), failed(1), event(2), failed(3), event(4))
    return shown


@pytest.fixture
def many(shown: Shown) -> Shown:
    """3,000 events have come, of which two went wrong."""
    shown.emit_all(failed(n) if n in {700, 1_400} else event(n) for n in range(3_000))
    return shown


def test_event_appears_below_the_others_when_it_comes(page: Page, five: Shown) -> None:
    five.open(page)
    expect(row(page, "/file-4")).to_be_visible()

    five.emit(event(5))

    expect(row(page, "/file-5")).to_be_visible()
    rows = page.locator("[data-ordinal]").all()
    tops = {int(one.get_attribute("data-ordinal") or -1): one.bounding_box() for one in rows}
    assert sorted(tops) == [0, 1, 2, 3, 4, 5]
    heights = [box["y"] for _, box in sorted(tops.items()) if box is not None]
    assert heights == sorted(heights)
    expect(page.locator("#connection")).to_have_text("connected")


def test_names_and_payloads_are_text_whatever_they_hold(page: Page, shown: Shown) -> None:
    for number, name in enumerate(HOSTILE):
        did = f"did:mesh:{number}"
        shown.emit(
            event(number, EventType.SESSION_JOINED, agent_did=did, payload={"name": name}),
            event(number, agent_did=did, payload={"path": name, name: [name, {name: name}]}),
        )
    shown.open(page)

    for number, name in enumerate(HOSTILE):
        agent = page.locator(f"[data-ordinal='{2 * number + 1}'] .agent")
        expect(agent).to_contain_text(name[:100])
        agent.click()
        expect(page.locator(".panel .payload")).to_contain_text(name)
    assert page.locator("main script, main img").count() == 0
    assert sideways_pixels(page) == 0


def test_filter_narrows_and_stands_in_the_address(page: Page, five: Shown) -> None:
    five.open(page)
    expect(row(page, "/file-4")).to_be_visible()

    page.keyboard.press("/")
    page.keyboard.type("--type 'saga.*'")
    page.keyboard.press("Enter")

    expect(page.locator("[data-ordinal]")).to_have_count(2)
    expect(page.locator(".total")).to_have_text("2 events, 2 went wrong")
    assert query_of(page) == "#/?filter=--type 'saga.*'"
    page.reload()
    expect(page.locator("[data-ordinal]")).to_have_count(2)
    expect(page.get_by_role("combobox", name="Filter")).to_have_value("--type 'saga.*'")
    page.goto(f"{five.address}#/?filter=--type+vfs.write")
    expect(page.locator("[data-ordinal]")).to_have_count(3)


def test_empty_list_says_why_and_what_to_do(page: Page, shown: Shown) -> None:
    shown.open(page)
    expect(page.get_by_text("No events yet.")).to_be_visible()

    shown.emit(event(0))
    expect(page.get_by_text("No events yet.")).to_be_hidden()
    page.goto(f"{shown.address}#/?filter=elsewhere")
    expect(page.get_by_text("matches the filter")).to_be_visible()
    page.get_by_role("button", name="Show all events").click()

    expect(row(page, "/file-0")).to_be_visible()
    expect(page.get_by_text("matches the filter")).to_be_hidden()


def test_filter_that_cannot_be_read_says_why(
    page: Page, five: Shown, complaints: Complaints
) -> None:
    complaints.expect("status of 400")
    five.open(page)
    box = page.get_by_role("combobox", name="Filter")

    box.fill("--colour red")
    box.press("Enter")

    expect(page.get_by_role("alert")).to_contain_text("--colour")
    expect(box).to_have_attribute("aria-invalid", "true")
    box.fill("file-2")
    box.press("Enter")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator("[data-ordinal]")).to_have_count(1)


def test_filter_suggests_what_was_seen(page: Page, five: Shown) -> None:
    five.open(page)
    expect(row(page, "/file-4")).to_be_visible()
    page.keyboard.press("/")

    page.keyboard.type("--ty")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    options = page.get_by_role("option")
    expect(options).to_have_text(["saga.step_failed", "vfs.write"])
    page.keyboard.press("ArrowUp")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Tab")
    expect(options).to_have_count(0)
    page.keyboard.press("Enter")

    expect(page.locator("[data-ordinal]")).to_have_count(3)
    assert query_of(page) == "#/?filter=--type vfs.write"
    page.keyboard.type(" more")
    page.keyboard.press("Escape")
    expect(page.get_by_role("combobox")).to_have_value("--type vfs.write")


def test_only_what_went_wrong_is_one_key_away(page: Page, five: Shown) -> None:
    five.open(page)
    expect(row(page, "/file-4")).to_be_visible()
    button = page.get_by_role("button", name="Only what went wrong")

    page.keyboard.press("w")
    expect(page.locator("[data-ordinal]")).to_have_count(2)
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()

    expect(page.locator("[data-ordinal]")).to_have_count(5)
    assert query_of(page) == "#/"


def test_page_says_in_words_that_nothing_went_wrong(page: Page, shown: Shown) -> None:
    shown.emit(event(0), event(1))
    shown.open(page)
    expect(row(page, "/file-1")).to_be_visible()

    page.keyboard.press("w")

    expect(page.get_by_text("Nothing has gone wrong in the events that")).to_be_visible()
    page.get_by_role("button", name="Show all events").click()
    expect(row(page, "/file-1")).to_be_visible()


def test_first_arrow_up_chooses_the_newest_event(page: Page, five: Shown) -> None:
    five.open(page)
    expect(row(page, "/file-4")).to_be_visible()

    page.locator(".live-list").focus()
    page.keyboard.press("ArrowUp")

    expect(page.locator("[data-ordinal='4']")).to_have_attribute("aria-selected", "true")


def test_event_names_its_trace_as_terminals_do(page: Page, shown: Shown) -> None:
    trace = CausalTraceId()
    shown.emit(event(0, causal_trace_id=trace.full_id))
    shown.open(page)

    link = page.get_by_role("link", name=trace.trace_id, exact=True)

    expect(link).to_have_attribute("href", f"#/trace/{trace.to_w3c()[0]}")
    cut: bool = link.evaluate(
        "(one) => one.parentElement.scrollWidth > one.parentElement.clientWidth"
    )
    assert not cut


@pytest.mark.parametrize(("view", "count"), [("#/", 1), ("#/traces", 0), ("#/health", 0)])
def test_help_tells_how_a_filter_is_written_where_there_is_one(
    page: Page, five: Shown, view: str, count: int
) -> None:
    five.open(page, view)
    expect(page.locator("#connection")).to_have_text("connected")

    page.keyboard.press("?")

    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    expect(page.get_by_role("heading", name="The filter")).to_have_count(count)


def test_pause_counts_what_comes_meanwhile(page: Page, many: Shown) -> None:
    many.open(page)
    expect(row(page, "/file-2999")).to_be_visible()

    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "true")
    many.emit(event(3_000), event(3_001))

    newer = page.get_by_role("button", name="2 new")
    expect(newer).to_be_visible()
    expect(row(page, "/file-3001")).not_to_be_in_viewport()
    newer.click()
    expect(row(page, "/file-3001")).to_be_in_viewport()
    expect(newer).to_be_hidden()


def test_reader_who_scrolls_up_is_left_alone(page: Page, many: Shown) -> None:
    many.open(page)
    expect(row(page, "/file-2999")).to_be_visible()

    page.locator(".live-list").hover()
    page.mouse.wheel(0, -2_000)
    expect(page.get_by_role("button", name="Newest")).to_be_visible()
    before = page.locator("[data-ordinal]").first.text_content()
    many.emit(event(3_000))

    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    assert page.locator("[data-ordinal]").first.text_content() == before
    page.mouse.wheel(0, 4_000)
    expect(row(page, "/file-3000")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "false")


def test_next_failure_is_found_among_rows_that_are_not_here(page: Page, many: Shown) -> None:
    many.open(page)
    expect(row(page, "/file-2999")).to_be_visible()
    chosen = page.locator("[aria-selected=true]")

    page.keyboard.press("f")
    expect(chosen).to_contain_text("broken-1400")
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary")).to_contain_text("broken-1400")
    page.keyboard.press("Shift+F")
    expect(chosen).to_contain_text("broken-700")
    expect(page.get_by_role("complementary")).to_contain_text("broken-700")
    assert query_of(page) == "#/?at=700"
    page.keyboard.press("Shift+F")
    expect(page.get_by_role("status")).to_have_text("Nothing went wrong before.")
    page.keyboard.press("f")
    expect(chosen).to_contain_text("broken-1400")
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary")).to_be_hidden()
    page.keyboard.press("t")
    assert query_of(page).startswith("#/trace/")


def test_any_place_is_a_moment_away_and_few_rows_exist(page: Page, many: Shown) -> None:
    many.open(page)
    expect(row(page, "/file-2999")).to_be_visible()

    for key, text in {"Home": "/file-0", "PageDown": "/file-26", "End": "/file-2999"}.items():
        page.keyboard.press(key)
        expect(row(page, text)).to_be_visible()
    strip = page.get_by_role("slider")
    strip.focus()
    page.keyboard.press("Home")
    expect(row(page, "/file-0")).to_be_visible()
    expect(strip).to_have_attribute("aria-valuetext", re.compile(r"^\d\d:\d\d:\d\d.*events"))
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(row(page, "/file-0")).to_have_count(0)
    box = strip.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 1, box["y"] + 5)
    expect(row(page, "/file-0")).to_be_visible()
    page.evaluate("document.querySelector('.live-list').scrollTop = 30_000")
    expect(row(page, "/file-1210")).to_be_visible()
    assert page.locator(".layer .row").count() <= 60


def test_chosen_event_can_be_shared_and_copied(
    page: Page, many: Shown, open_page: Callable[..., Page]
) -> None:
    many.open(page, "#/?at=1400")
    panel = page.get_by_role("complementary")
    expect(panel).to_contain_text("broken-1400")
    expect(page.locator("[aria-selected=true]")).to_be_in_viewport()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    panel.get_by_role("button", name="Copy").click()

    expect(page.get_by_role("status")).to_have_text("The event is copied.")
    copied = page.evaluate("navigator.clipboard.readText().then(JSON.parse)")
    assert copied["payload"] == {"step_id": "broken-1400"}
    panel.get_by_role("button", name="saga.step_failed").click()
    expect(page.locator("[data-ordinal]")).to_have_count(2)
    expect(panel.get_by_role("link", name="s-1")).to_have_attribute("href", "#/session/s-1")


def test_large_payload_is_folded(page: Page, shown: Shown) -> None:
    payload = {"list": list(range(250)), "text": "word " * 80_000, "path": "/big"}
    shown.emit(event(0, payload=payload))
    shown.open(page)
    row(page, "vfs.write").click()

    panel = page.get_by_role("complementary")
    expect(panel).to_contain_text("250 items")
    assert panel.locator(".value").count() == 4
    panel.get_by_text("250 items").click()
    expect(panel.locator(".value")).to_have_count(104)
    panel.get_by_role("button", name="150 more").click()
    expect(panel.locator(".value")).to_have_count(204)
    panel.get_by_role("button", name=re.compile("^Show all")).click()
    assert len(panel.locator(".is-text").first.text_content() or "") > 10_000


def test_events_before_those_that_the_page_holds_are_in_the_journal(
    page: Page, tmp_path: Path
) -> None:
    file, journal = tmp_path / "hypervisor.toml", tmp_path / "journal"
    file.write_text(
        f"[plugins.journal]\ndirectory = {json.dumps(str(journal))}\n"
        "[plugins.web]\nmax_events = 1000\n"
    )
    with scenario.observed(journal) as observability:
        for number in range(1_500):
            observability.bus.emit(event(number))
    with Serving.started("--config", str(file), "--port", "0") as serving:
        page.goto(serving.link)
        expect(row(page, "/file-1499")).to_be_visible()
        page.keyboard.press("Home")
        oldest = page.locator("[data-ordinal='0'] .summary bdi")
        first = int((oldest.text_content() or "").removeprefix("/file-"))

        while first > 0:
            page.keyboard.press("Home")
            expect(row(page, f"/file-{first}")).to_be_in_viewport()
            page.keyboard.press("Enter")
            expect(row(page, f"/file-{first - 1}")).to_be_visible()
            first = max(0, first - 200)
        page.keyboard.press("Home")
        expect(row(page, "/file-0")).to_be_in_viewport()
        expect(page.get_by_role("button", name="Look for older events")).to_have_count(0)
        row(page, "/file-0").click()
        command = page.get_by_role("complementary").locator("code").text_content() or ""
        assert re.search(r"--until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", command)
        page.context.close()


def test_what_came_too_fast_is_told_and_can_be_shown(page: Page, shown: Shown) -> None:
    shown.open(page)
    expect(page.locator("#connection")).to_have_text("connected")

    shown.emit_all(event(n) for n in range(30_000))

    expect(row(page, "/file-29999")).to_be_visible()
    wait_until(lambda: is_at_end(page))
    offers = page.get_by_role("button", name=re.compile("left out here"))
    page.keyboard.press("Home")
    for _ in range(1_500):
        if offers.count():
            break
        page.keyboard.press("PageDown")
    offers.first.click()
    expect(page.locator("[aria-selected=true][data-ordinal]")).to_be_visible()


def test_help_shows_the_keys_and_gives_the_focus_back(page: Page, five: Shown) -> None:
    five.open(page)
    page.get_by_role("button", name="Pause").focus()

    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Next failure")
    dialog.get_by_label("Keys of one letter").uncheck()
    page.keyboard.press("Escape")

    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("w")
    expect(page.locator("[data-ordinal]")).to_have_count(5)
    page.get_by_role("button", name="Pause").blur()
    page.keyboard.press("ArrowUp")
    expect(page.locator("[aria-selected=true][data-ordinal]")).to_be_visible()


def test_without_the_token_the_page_says_how_to_get_one(
    page: Page, five: Shown, complaints: Complaints
) -> None:
    complaints.expect("status of 401")
    page.goto(five.address)
    expect(page.get_by_role("heading")).to_have_text("This page needs its token")

    page.get_by_label("Address or token").fill(f"{five.address}#token={TOKEN}")
    page.keyboard.press("Enter")

    expect(row(page, "/file-4")).to_be_visible()


def test_printed_address_can_be_pasted_over_one_of_the_page(
    page: Page, five: Shown, complaints: Complaints
) -> None:
    complaints.expect("status of 401")
    page.goto(f"{five.address}#/?filter=file-2")
    expect(page.get_by_role("heading")).to_have_text("This page needs its token")

    page.goto(f"{five.address}#token={TOKEN}")

    expect(row(page, "/file-4")).to_be_visible()
    page.goto(f"{five.address}#token={TOKEN}&/?filter=file-2")
    expect(page.locator("[data-ordinal]")).to_have_count(1)


def test_token_is_in_no_address(page: Page, five: Shown) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    five.open(page)

    expect(row(page, "/file-4")).to_be_visible()
    assert page.evaluate("location.href") == f"{five.address}#/"
    assert [one for one in asked if TOKEN in one.partition("#")[0]] == []
    assert page.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"


def test_second_tab_gets_the_token_of_the_first(page: Page, five: Shown) -> None:
    five.open(page)
    expect(row(page, "/file-4")).to_be_visible()

    other = page.context.new_page()
    other.goto(f"{five.address}#/?filter=file-2")

    expect(other.locator("[data-ordinal]")).to_have_count(1)


def test_hidden_tab_holds_no_stream_and_goes_on_when_shown(page: Page, five: Shown) -> None:
    five.open(page)
    expect(row(page, "/file-4")).to_be_visible()

    _set_hidden(page, hidden=True)
    expect(page.locator("#connection")).to_contain_text("rests while the tab is hidden")
    five.emit(event(5))
    _set_hidden(page, hidden=False)

    expect(row(page, "/file-5")).to_be_visible()
    expect(page.locator("[data-ordinal]")).to_have_count(6)


def test_page_waits_for_a_server_that_is_gone(
    page: Page, five: Shown, complaints: Complaints, other: Callable[[int], Observability]
) -> None:
    complaints.expect("ERR_", "status of 401")
    five.open(page)
    expect(row(page, "/file-4")).to_be_visible()

    five.observability.stop()
    expect(page.locator("#connection")).to_contain_text("does not answer: again in")
    again = other(five.port)
    again.bus.emit(event(77))

    expect(row(page, "/file-77")).to_be_visible()
    expect(page.locator("[data-ordinal]")).to_have_count(1)


@pytest.fixture
def other() -> Iterator[Callable[[int], Observability]]:
    """Start another server on a port."""
    started: list[Observability] = []

    def start(port: int) -> Observability:
        plugin = WebPlugin(WebConfig(port=port, token=Secret(TOKEN)))
        started.append(Observability(plugins=[plugin]))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.mark.parametrize("dark", [False, True])
def test_live_is_accessible(five: Shown, open_page: Callable[..., Page], *, dark: bool) -> None:
    page = five.open(open_page(dark=dark))
    row(page, "/file-4").click()
    expect(page.get_by_role("complementary")).to_contain_text("Payload")

    assert serious_findings(page) == []
    page.keyboard.press("?")
    assert serious_findings(page) == []


def test_narrow_window_shows_everything_without_scrolling_sideways(
    five: Shown, open_page: Callable[..., Page]
) -> None:
    page = five.open(open_page(400, 700))
    row(page, "/file-0").click()

    expect(page.get_by_role("complementary")).to_contain_text("Payload")
    expect(page.locator("[aria-selected=true]")).to_be_in_viewport()
    assert sideways_pixels(page) == 0
    for link in page.get_by_role("navigation").get_by_role("link").all():
        expect(link).to_be_in_viewport()


def test_printed_page_has_what_is_on_the_screen_and_no_controls(page: Page, many: Shown) -> None:
    many.open(page)
    row(page, "/file-2999").click()
    expect(page.get_by_role("complementary")).to_contain_text("Payload")

    page.emulate_media(media="print")

    expect(row(page, "/file-2999")).to_be_visible()
    expect(page.get_by_role("complementary")).to_be_visible()
    for control in page.locator(".bar button, .toolbar button, .newer, .filter input").all():
        expect(control).to_be_hidden()
    pixels = page.evaluate("document.documentElement.scrollHeight")
    assert 500 < pixels < 3_000


def _set_hidden(page: Page, *, hidden: bool) -> None:
    page.evaluate(
        "(value) => { Object.defineProperty(document, 'hidden', {value, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )
