"""The fixtures of browser tests see what they are to see."""

import asyncio
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.plugins.web.browser import Complaints, heap_bytes, serious_findings, sideways_pixels
from tests.plugins.web.shown import Shown

POLICY = "<meta http-equiv=Content-Security-Policy content=\"script-src 'self'; img-src *\">"


@pytest.mark.parametrize(
    ("markup", "complaint"),
    [
        (f"{POLICY}<script>1</script>", "policy violated: script-src-elem inline"),
        ("<script>console.warn('odd')</script>", "console: warning: odd"),
        ("<script>undefined.x</script>", "uncaught: Cannot read properties of undefined"),
        ("<img src='http://127.0.0.2:9/x'>", "request to another origin: http://127.0.0.2:9/x"),
    ],
)
def test_what_no_page_may_do_fails_a_test(
    page: Page, shown: Shown, complaints: Complaints, markup: str, complaint: str
) -> None:
    page.route("**/bad", lambda route: route.fulfill(body=markup, content_type="text/html"))
    page.goto(f"{shown.address}bad")

    with pytest.raises(AssertionError, match=re.escape(complaint)):
        complaints.check()
    complaints.expect(".")


def test_serious_faults_of_access_are_found(page: Page, shown: Shown) -> None:
    page.route(
        "**/bad",
        lambda route: route.fulfill(
            body="<html lang=en><title>x</title><input>", content_type="text/html"
        ),
    )
    page.goto(f"{shown.address}bad")

    (finding,) = serious_findings(page)
    assert finding.startswith("critical: label:")


def test_page_is_served_and_measured(open_page: Callable[..., Page], shown: Shown) -> None:
    page = shown.open(open_page(400, 700, dark=True))

    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert page.evaluate("innerWidth") == 400
    assert sideways_pixels(page) == 0
    assert 0 < heap_bytes(page) < 50_000_000


def test_other_tests_may_run_a_loop_of_their_own(
    request: pytest.FixtureRequest,
) -> None:
    request.getfixturevalue("chromium")

    assert asyncio.run(asyncio.sleep(0, "done")) == "done"
