"""A trace in a real browser: its tree, its time axis, and what a viewer does with them."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from hypervisor_observability.causality.causal_trace import CausalTraceId
from tests.plugins.web.browser import serious_findings, sideways_pixels
from tests.plugins.web.scenario import play
from tests.plugins.web.shown import Shown
from tests.plugins.web.traced import event

HOSTILE = "<img src=x onerror=alert(1)>\u202e\u2066" + "W" * 300


@pytest.fixture
def played(shown: Shown) -> Shown:
    play(shown.observability.recorder)
    assert shown.observability.flush(timeout=60)
    return shown


def row(page: Page, text: str) -> Locator:
    return page.locator(".trace-row:visible").filter(has_text=text).first


def test_viewer_finds_the_failure_by_keyboard_alone(played: Shown, page: Page) -> None:
    played.open(page, "#/trace/release-42")

    expect(page.get_by_role("heading", name="run release")).to_be_visible()
    expect(page.locator(".trace-wrong")).to_contain_text(
        "tool fetch FAILED: TimeoutError: no answer in 30 s"
    )
    for words in ("decision deploy", "tool deploy", "breach erase_disk", "tool fetch"):
        page.keyboard.press("f")
        expect(page.locator(".is-active")).to_contain_text(words)
    page.keyboard.press("Enter")

    panel = page.locator(".trace-details")
    expect(panel.get_by_role("heading", name="tool fetch")).to_be_focused()
    expect(panel).to_contain_text("TimeoutError: no answer in 30 s")
    expect(panel).to_contain_text("error_type TimeoutError")
    expect(page).to_have_url(re.compile(r"[?&]at=[0-9a-f]{16}"))
    page.reload()
    expect(panel.get_by_role("heading", name="tool fetch")).to_be_visible()
    expect(page.locator(".is-active")).to_contain_text("tool fetch")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page.get_by_role("treegrid")).to_be_focused()


def test_rows_fold_and_are_told_as_a_tree(played: Shown, page: Page) -> None:
    played.open(page, "#/trace/release-42")
    expect(row(page, "saga order")).to_be_visible()

    assert row(page, "compensation undo-reserve").get_attribute("aria-level") == "5"
    assert row(page, "step reserve").get_attribute("aria-level") == "4"
    expect(row(page, "step reserve")).to_contain_text("undone")
    expect(row(page, "saga notify")).to_contain_text("ESCALATED")
    row(page, "saga order").locator(".kind").click()
    page.keyboard.press("Escape")
    page.get_by_role("treegrid").focus()
    page.keyboard.press("ArrowLeft")
    expect(row(page, "saga order")).to_have_attribute("aria-expanded", "false")
    expect(page.locator(".trace-row:visible", has_text="undo-reserve")).to_have_count(0)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".is-active")).to_contain_text("step reserve")
    page.keyboard.press("End")
    expect(page.locator(".is-active")).to_contain_text("agent killed")
    active = page.get_by_role("treegrid").get_attribute("aria-activedescendant")
    assert page.locator(".is-active").get_attribute("id") == active


def test_what_is_chosen_stands_in_the_address(played: Shown, page: Page) -> None:
    played.open(page, "#/trace/release-42?only=failed")
    expect(row(page, "tool fetch")).to_be_visible()

    assert page.get_by_role("radio", checked=True).inner_text().startswith("failed")
    expect(page.locator(".trace-row:visible", has_text="model m-1")).to_have_count(0)
    expect(row(page, "agent builder")).to_be_visible()
    page.get_by_role("radio", name="running").click()
    expect(page).to_have_url(re.compile("only=running"))
    expect(page.get_by_text("Nothing is running.")).to_be_visible()
    page.get_by_role("radio", name="all").click()
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile(r"\?zoom=\d+-\d+$"))
    page.keyboard.press("0")
    expect(page).to_have_url(re.compile(r"/release-42$"))


def test_unfinished_tool_is_seen_and_grows_and_ends(shown: Shown, page: Page) -> None:
    recorder = shown.observability.recorder
    recorder.open("run", "r", name="long", kind="task", session_id="s")
    assert shown.observability.flush(timeout=60)
    shown.open(page, "#/trace/s")
    expect(row(page, "run long")).to_contain_text("running")

    recorder.open("tool", "t", "r", tool_name="search", call_id="c")
    expect(row(page, "tool search")).to_contain_text("running")
    before = row(page, "tool search").locator(".took").inner_text()
    expect(row(page, "tool search").locator(".took")).not_to_have_text(before)
    recorder.close("t", "no such index")

    expect(row(page, "tool search")).to_contain_text("FAILED")
    expect(row(page, "run long")).to_contain_text("running")
    expect(page.locator(".trace-wrong")).to_contain_text("no such index")


def test_names_are_text_in_a_narrow_window_and_in_the_dark(
    shown: Shown, open_page: Callable[..., Page]
) -> None:
    root = CausalTraceId()
    shown.emit(
        event("run.started", root, name=HOSTILE),
        event("tool.started", root.child(), 1.0, tool_name=HOSTILE),
        event("tool.finished", root.child(), 2.0, tool_name=HOSTILE, status="error", error=HOSTILE),
        event("run.finished", root, 3.0, name=HOSTILE),
    )
    for width, dark in ((400, False), (1280, True)):
        page = open_page(width, dark=dark)
        shown.open(page, f"#/trace/{root.trace_id}")
        expect(row(page, "run")).to_be_visible()
        row(page, "tool").click()
        expect(page.locator(".trace-details .value").first).to_be_visible()

        assert row(page, "run").locator(".name").inner_text() == HOSTILE
        assert page.locator("#view img").count() == 0
        assert sideways_pixels(page) == 0
        assert serious_findings(page) == []


def test_bars_are_drawn_where_their_times_are(shown: Shown, page: Page) -> None:
    root = CausalTraceId()
    first, second = root.child(), root.child()
    shown.emit(
        event("run.started", root, 0.0, name="r"),
        event("tool.started", first, 0.0, tool_name="first"),
        event("tool.finished", first, 4.0, tool_name="first", status="error"),
        event("tool.started", second, 6.0, tool_name="second"),
        event("tool.finished", second, 10.0, tool_name="second"),
        event("run.finished", root, 10.0, name="r"),
    )
    shown.open(page, f"#/trace/{root.trace_id}")
    expect(row(page, "tool second")).to_be_visible()

    assert [bool(_drawn(page, 1, share)) for share in (0.2, 0.5, 0.8)] == [True, False, False]
    assert [bool(_drawn(page, 2, share)) for share in (0.2, 0.5, 0.8)] == [False, False, True]
    assert _drawn(page, 0, 0.55) == _drawn(page, 2, 0.8) != _drawn(page, 1, 0.2)
    box = page.locator(".trace-bars").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"], box["y"] + 10)
    page.mouse.up()
    expect(page).to_have_url(re.compile("zoom="))
    assert [bool(_drawn(page, 2, share)) for share in (0.1, 0.5)] == [False, True]
    page.mouse.click(box["x"] + 5, box["y"] + 26 + 13)
    expect(page.get_by_role("heading", name="tool first")).to_be_focused()
    page.keyboard.press("Escape")
    page.goto(f"{shown.address}#/trace/{root.trace_id}?zoom=5000000-10000000")
    page.wait_for_function("document.querySelector('.trace-map').getBoundingClientRect().width > 0")
    assert [bool(_drawn(page, 2, share)) for share in (0.1, 0.5)] == [False, True]


def _drawn(page: Page, place: int, share: float) -> Any:
    """The colour that the bar of a row has most of around a share of the time; empty: none."""
    return page.evaluate(
        """([place, share]) => {
            const canvas = document.querySelector(".trace-bars");
            const x = Math.round(canvas.width * share) - 10;
            const y = Math.round((place * 26 + 13) * devicePixelRatio);
            const copy = new OffscreenCanvas(20, 1).getContext("2d", { willReadFrequently: true });
            copy.drawImage(canvas, -x, -y);
            const pixels = copy.getImageData(0, 0, 20, 1).data;
            const counts = {};
            for (let at = 0; at < pixels.length; at += 4) {
              if (pixels[at + 3] < 255) continue;
              const colour = pixels.slice(at, at + 3).join();
              counts[colour] = (counts[colour] ?? 0) + 1;
            }
            const [best] = Object.entries(counts).sort((one, other) => other[1] - one[1]);
            return best && best[1] > 5 ? best[0] : "";
        }""",
        [place, share],
    )


def test_twenty_thousand_spans_need_few_elements(shown: Shown, page: Page) -> None:
    root = CausalTraceId()
    spans = [root.child() for _ in range(20_000)]
    shown.emit_all(
        [
            event("run.started", root, name="r"),
            *(
                event("tool.finished", span, number / 100, tool_name=f"call {number}")
                for number, span in enumerate(spans)
            ),
        ]
    )
    shown.open(page, f"#/trace/{root.trace_id}")
    expect(row(page, "tool call 3")).to_be_visible()

    page.get_by_role("treegrid").focus()
    page.keyboard.press("End")
    expect(page.locator(".is-active")).to_contain_text("tool call 19999")
    assert page.get_by_role("treegrid").get_attribute("aria-rowcount") == "20001"
    assert page.locator(".trace-row").count() < 80
    page.emulate_media(media="print")
    expect(page.get_by_text("The first 600 of 20,001 rows.")).to_be_visible()
    expect(row(page, "tool call 400")).to_be_visible()


def test_unknown_trace_says_what_to_do(shown: Shown, page: Page, complaints: Any) -> None:
    complaints.expect("404")
    shown.open(page, "#/trace/nothing-like-this")

    expect(page.locator("#view")).to_contain_text("no trace, saga, session or event has an id")
    expect(page.get_by_role("link", name="All traces")).to_be_visible()
    shown.emit(event("run.started", CausalTraceId(trace_id="nothing-like-this"), name="late"))
    page.get_by_role("button", name="Try again").click()
    expect(row(page, "run late")).to_be_visible()


def test_layout_keeps_what_is_short_visible_and_zoom_within_the_trace(
    shown: Shown, page: Page
) -> None:
    shown.open(page)
    found = page.evaluate("""async () => {
        const layout = await import("/js/layout.js");
        const all = layout.windowOf(null, 1000);
        const bar = (begun, ended, shown, running = false) =>
          layout.boxOf({ begun, ended, running, isPoint: false }, shown, 100);
        return {
          whole: bar(0, 1000, all),
          short: bar(500, 500.1, all),
          last: bar(1000, 1000, all),
          outside: bar(0, 100, { from: 200, to: 300 }),
          cut: bar(0, 1000, { from: 200, to: 300 }, true),
          open: bar(900, 1000, all, true),
          point: layout.boxOf({ begun: 500, ended: 500, isPoint: true }, all, 100),
          closer: layout.zoomed(all, 1000, 2, 1000),
          farther: layout.zoomed({ from: 0, to: 600 }, 1000, 0.5, 300),
          moved: layout.moved({ from: 0, to: 500 }, 1000, 9),
          ticks: [[1, 100], [1e6, 100], [9e6, 500], [86400e6, 500], [86400e6 * 200, 500]].map(
            ([to, width]) => layout.ticks({ from: 0, to }, width).step),
          texts: [[0, 5], [1500, 500], [2500000, 500000], [90e6, 30e6], [7200e6, 3600e6],
            [172800e6, 86400e6], [61000010, 10]].map(([us, step]) => layout.tickText(us, step)),
          zooms: ["5-9", "9-5", "x", "", "1-2-3"].map(layout.readZoom),
        };
    }""")

    assert found["whole"] == _box(0, 100)
    assert found["short"] == _box(50, 2)
    assert found["last"] == _box(98, 2)
    assert found["outside"] is None
    assert found["cut"] == _box(0, 100, before=True, after=True)
    assert found["open"] == _box(90, 10, open=True)
    assert found["point"] == {**_box(45.5, 9), "shape": "point"}
    assert found["closer"] == {"from": 500, "to": 1000}
    assert found["farther"] is None
    assert found["moved"] == {"from": 500, "to": 1000}
    assert found["ticks"] == [1, 1e6, 2e6, 21_600e6, 86_400e6 * 50]
    assert found["texts"] == ["0", "1.5 ms", "2.5 s", "1 m 30 s", "2 h 0 m", "2 d", "1 m 1.00001 s"]
    assert found["zooms"] == [{"from": 5, "to": 9}, None, None, None, None]


def _box(x: float, w: float, **more: bool) -> dict[str, Any]:
    return {"shape": "bar", "x": x, "w": w, "before": False, "after": False, "open": False} | more
