"""The site has every page in its navigation, pages mean the same on GitHub, addresses agree.

`make docs` builds the site itself; these tests need nothing that it needs.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import hypervisor_observability

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
DISTRIBUTIONS = [
    ROOT / "core",
    *sorted(one.parent for one in ROOT.glob("plugins/*/pyproject.toml")),
]
API = DOCS / "reference" / "api"
MODULES = ("config", "hookspecs", "network", "output", "sources", "stores", "testing")
"""Those of core whose names are public too."""
FENCE = re.compile(r"^( *)(`{3,})(.*)$")
ITEM = re.compile(r"^( *)(?:[-*]|\d+\.) ")


class Settings(yaml.SafeLoader):
    """Reads mkdocs.yml without the functions that it names."""


Settings.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def settings() -> dict[str, Any]:
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    content: dict[str, Any] = yaml.load(text, Settings)  # noqa: S506 - a SafeLoader
    return content


def pages_in(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for below in nav.values():
            yield from pages_in(below)
    elif isinstance(nav, list):
        for below in nav:
            yield from pages_in(below)


def name_of(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


def test_navigation_has_each_page_once() -> None:
    assert Counter(pages_in(settings()["nav"])) == Counter(map(name_of, PAGES))


def test_site_is_strict_and_has_readers_load_nothing_from_elsewhere() -> None:
    assert settings()["strict"] is True
    assert settings()["theme"]["font"] is False
    assert "repo_url" not in settings()
    assert set(settings()["validation"]["links"].values()) == {"warn"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page_means_the_same_on_the_site_and_on_github(page: Path) -> None:
    odd, inside, before = [], "", ""
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        fence, item = FENCE.match(line), ITEM.match(line)
        if fence and not inside:
            inside = fence[2]
        elif fence and fence[2].startswith(inside) and not fence[3]:
            inside = ""
        elif item and not inside:
            if before.strip() and not ITEM.match(before) and not before.startswith(" "):
                odd.append(f"{number}: a list needs an empty line before it: {line}")
            if len(item[1]) % 4:
                odd.append(f"{number}: a list in a list is indented by four: {line}")
        before = line

    assert odd == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_of_the_page_stay_within_the_site(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text("utf-8"))
    outside = [one for one in targets if not (page.parent / one).resolve().is_relative_to(DOCS)]

    assert outside == []


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
def test_distribution_says_where_its_page_and_its_source_are(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    source = settings()["extra"]["social"][0]["link"]
    page = project["urls"]["Documentation"].removeprefix(settings()["site_url"])

    assert project["urls"] == {
        "Documentation": settings()["site_url"] + page,
        "Source": source,
        "Changelog": f"{source}/blob/main/CHANGELOG.md",
        "Issues": f"{source}/issues",
    }
    if folder.name != "core":
        assert (DOCS / f"{page.removesuffix('/')}.md").is_file()
    assert f"[documentation]({project['urls']['Documentation']})" in (
        folder / "README.md"
    ).read_text("utf-8")


def test_pages_of_the_api_have_every_public_name() -> None:
    asked = {
        name
        for page in API.glob("*.md")
        for name in re.findall(r"^::: ([\w.]+)$", page.read_text("utf-8"), re.MULTILINE)
    }
    package = hypervisor_observability.__name__

    assert asked == {f"{package}.{name}" for name in (*hypervisor_observability.__all__, *MODULES)}
