"""The page about the page holds: its keys, its bounds, its pictures."""

import re
from pathlib import Path

import pytest

from hypervisor_web import WebConfig

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference" / "web.md").read_text("utf-8")
SCRIPTS = Path(__file__).parents[2] / "plugins/web/src/hypervisor_web/static/js"
VIEWS = ("live", "traces", "trace", "agents", "sagas", "session", "health")
MAX_PICTURE_BYTES = 150_000


def keys_of(view: str) -> list[tuple[str, str]]:
    """Give the keys that a view's help lists, and what they do."""
    source = (SCRIPTS / f"{view}.js").read_text("utf-8")
    found = re.search(r"^export const help = \[(.*?)\];$", source, re.DOTALL | re.MULTILINE)
    return re.findall(r'\["([^"]*)", "([^"]*)"\]', found[1]) if found else []


@pytest.mark.parametrize("view", VIEWS)
def test_keys_are_those_of_the_help(view: str) -> None:
    listed = re.findall(rf"^\| {view.title()} \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)

    assert [row for row in listed if not row[0].startswith("`#")] == keys_of(view)


def test_views_have_keys_at_all() -> None:
    assert len(keys_of("live")) > 5
    assert len(keys_of("trace")) > 5


def test_bounds_are_those_of_the_configuration() -> None:
    config = WebConfig()

    assert f"`max_events` ({config.max_events:,})" in PAGE
    assert f"`max_bytes` ({config.max_bytes >> 20} MiB)" in PAGE


def test_pictures_are_small_and_shown() -> None:
    pictures = sorted((DOCS / "pictures").glob("page-*.png"))
    pages = [page.read_text("utf-8") for page in DOCS.rglob("*.md")]

    assert len(pictures) >= 6
    for picture in pictures:
        assert picture.stat().st_size <= MAX_PICTURE_BYTES, picture.name
        assert any(f"pictures/{picture.name})" in page for page in pages), picture.name
