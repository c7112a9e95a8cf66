"""One Chromium for all browser tests of a process, and a fresh page for each test."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page

from tests.plugins.web.browser import Chromium, Complaints, opener
from tests.plugins.web.shown import Shown


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the browser: it runs on one Python only, and its lines are counted."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.backend)
            item.add_marker(pytest.mark.slow)


_CLOSE = pytest.StashKey[Callable[[], None]]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Close the test's pages before its servers end: a page complains of one that goes away."""
    item.stash.get(_CLOSE, lambda: None)()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """The browser; tests take ``page`` or ``open_page``."""
    with Chromium.launched() as launched:
        yield launched


@pytest.fixture
def complaints() -> Complaints:
    """What the test's pages did that no page may do: at its end, none may be left."""
    return Complaints()


@pytest.fixture
def open_page(
    request: pytest.FixtureRequest, chromium: Chromium, complaints: Complaints
) -> Iterator[Callable[..., Page]]:
    """Open a page of some width, dark or light: ``open_page(400, dark=True)``."""
    with chromium.in_use() as browser:
        before = set(browser.contexts)

        def close() -> None:
            for context in set(browser.contexts) - before:
                context.close()

        request.node.stash[_CLOSE] = close
        yield opener(browser, complaints)
        close()
    complaints.check()


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """A page of 1280 pixels by 800, light."""
    return open_page()


@pytest.fixture
def shown() -> Iterator[Shown]:
    """The page over events that the test emits."""
    made = Shown()
    with made.observability:
        yield made
