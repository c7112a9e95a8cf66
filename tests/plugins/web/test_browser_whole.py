"""The whole page in a real browser: over a journal that another process writes at the same time."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.plugins.web import scenario
from tests.plugins.web.beside import Program, Serving
from tests.plugins.web.browser import Complaints, serious_findings, sideways_pixels
from tests.ports import free_port
from tests.waiting import wait_until

VIEWS = {
    "/": "[data-ordinal]",
    "/traces": "table a[href*='trace']",
    "/trace/TRACE": "[role=treeitem], [role=treegrid] [role=row]",
    "/agents": "main :text('builder')",
    "/sagas": "main :text('publish')",
    f"/session/{scenario.SESSION}": "main :text('builder')",
    "/health": "main h1, main h2",
}
"""What each view shows of the scenario, by a selector."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """The page over the scenario, shared by tests that change nothing."""
    journal = tmp_path_factory.mktemp("played")
    scenario.record(journal)
    with Serving.over(journal) as serving:
        yield serving


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as entered:
        yield entered


def open_address(page: Page, address: str) -> None:
    """Load *address*, also where only its fragment differs."""
    page.goto("about:blank")
    page.goto(address)


def test_tool_call_is_seen_while_it_runs(page: Page, tmp_path: Path, stack: ExitStack) -> None:
    program = stack.enter_context(Program.recording(tmp_path))
    program.call("warm_up")
    serving = stack.enter_context(Serving.over(tmp_path))
    open_address(page, serving.link)
    expect(page.locator("main")).to_contain_text("warm_up")

    program.begin("deploy_release")

    call = page.locator("[data-ordinal]", has_text="deploy_release")
    expect(call).to_contain_text("tool.started")
    call.click()
    page.keyboard.press("t")
    tool = page.locator("[role=treeitem], [role=row]", has_text="deploy_release")
    expect(tool).to_contain_text("running")
    program.end()
    expect(tool).not_to_contain_text("running")


def test_failure_is_found_by_the_keyboard_alone(page: Page, played: Serving) -> None:
    open_address(page, played.link)
    expect(page.locator("[data-ordinal]").first).to_be_visible()

    page.keyboard.press("/")
    page.keyboard.type("--wrong --type 'tool.*'")
    page.keyboard.press("Enter")
    expect(page.locator("[data-ordinal]")).to_have_count(2)
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    expect(page.locator("[aria-selected=true]")).to_be_visible()  # the server was asked for it
    page.keyboard.press("Enter")

    expect(page.locator("main")).to_contain_text("no answer in 30 s")
    page.keyboard.press("t")
    expect(page.locator("[role=treeitem], [role=row]", has_text="fetch")).to_be_visible()
    assert "/trace/" in page.url
    assert "token" not in page.url


def test_page_stays_when_its_journal_is_removed_and_goes_on_with_a_new_one(
    page: Page, tmp_path: Path, stack: ExitStack
) -> None:
    journal = tmp_path / "journal"
    with Program.recording(journal) as program:
        program.call("before")
    serving = stack.enter_context(Serving.over(journal))
    open_address(page, serving.link)
    expect(page.locator("main")).to_contain_text("before")

    shutil.rmtree(journal)
    with Program.recording(journal) as program:
        program.call("afterwards")

        expect(page.locator("main")).to_contain_text("afterwards")
    expect(page.locator("main")).to_contain_text("before")


def test_new_server_draws_a_new_token_and_the_page_says_what_to_do(
    page: Page, tmp_path: Path, complaints: Complaints
) -> None:
    complaints.expect("401", "ERR_")
    scenario.record(tmp_path)
    port = free_port()
    with Serving.over(tmp_path, port) as first:
        open_address(page, first.link)
        expect(page.locator("[data-ordinal]").first).to_be_visible()
    with Serving.over(tmp_path, port) as second:
        assert second.link != first.link
        expect(page.locator("body")).to_contain_text("token")

        open_address(page, second.link)
        expect(page.locator("[data-ordinal]").first).to_be_visible()


def test_reload_in_a_loop_leaves_nothing_behind_in_the_server(page: Page, played: Serving) -> None:
    open_address(page, played.link)
    expect(page.locator("[data-ordinal]").first).to_be_visible()
    before = played.threads()

    for _ in range(25):
        page.reload(wait_until="domcontentloaded")

    expect(page.locator("[data-ordinal]").first).to_be_visible()
    wait_until(lambda: played.threads() <= before, timeout=60)


def test_two_tabs_show_the_same_and_pause_alone(
    page: Page, tmp_path: Path, stack: ExitStack
) -> None:
    program = stack.enter_context(Program.recording(tmp_path))
    for number in range(10):  # more than fit the window
        program.call(f"first_{number}")
    serving = stack.enter_context(Serving.over(tmp_path))
    other = page.context.new_page()
    for tab in (page, other):
        open_address(tab, serving.link)
        expect(tab.locator("main")).to_contain_text("first_9")
    other.keyboard.press(" ")

    program.call("afterwards")

    shown = "[data-ordinal]:has-text('afterwards')"
    expect(page.locator(shown).last).to_be_in_viewport()
    expect(other.get_by_role("button", name="5 new")).to_be_visible()
    assert other.locator(shown).count() == 0 or not is_in_sight(other, shown)


def is_in_sight(page: Page, selector: str) -> bool:
    """Whether the first such element is within the window."""
    box = page.locator(selector).first.bounding_box()
    return (
        box is not None
        and page.viewport_size is not None
        and (box["y"] + box["height"] / 2 < page.viewport_size["height"])
    )


@pytest.mark.parametrize("view", VIEWS)
def test_view_is_for_everyone(page: Page, played: Serving, view: str) -> None:
    address = view
    if "TRACE" in view:
        open_address(page, played.at("/traces"))
        link = page.locator("a[href*='/trace/']").last
        address = str(link.get_attribute("href")).removeprefix("#")
    open_address(page, played.at(address))
    expect(page.locator(VIEWS[view]).first).to_be_visible()
    found = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found[scheme] = serious_findings(page)
    page.set_viewport_size({"width": 400, "height": 800})
    found["narrow"] = serious_findings(page)

    assert found == {"light": [], "dark": [], "narrow": []}
    assert sideways_pixels(page) == 0
