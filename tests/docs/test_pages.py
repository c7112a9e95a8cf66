"""What README.md and docs/ show is run: Python blocks, TOML tables, links."""

import re
import tomllib
from pathlib import Path

import pytest

from hypervisor_observability import Config
from hypervisor_observability.config import load_config
from hypervisor_observability.host.discovery import installed_plugins
from hypervisor_observability.host.plugins import load_plugins
from tests.configurations import write_config
from tests.markdown import blocks_of, is_whole

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OF_SOURCES = sorted(set((DOCS / "sources").glob("*.md")) - {DOCS / "sources" / "index.md"})
PAGES = sorted(
    page
    for page in (ROOT / "README.md", *DOCS.rglob("*.md"))
    if not page.is_relative_to(DOCS / "examples")
)
OF_ENVIRONMENTS = [
    *OF_SOURCES,
    *(DOCS / "how-to" / name for name in ("migrating.md", "watch-agents.md")),
]
"""Pages that are run whole, each in the environment of its framework."""
RUN_WHOLE = [page for page in PAGES if page not in OF_ENVIRONMENTS and is_whole(page)]
"""Pages that are run whole here, in ``test_whole_pages.py``."""
CONCEPTS = {"bus", "trace-ids", "rings", "sagas", "governance", "plugins", "configuration"}
ANCHOR = re.compile(r"\]\((?!https?://)([^)#\s]*)#([^)\s]+)\)")
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Give line number and text of the blocks in *language* that are to be run."""
    return [
        (block.line, block.text)
        for block in blocks_of(page)
        if block.language == language and block.is_run
    ]


def test_every_concept_has_a_page() -> None:
    assert {page.stem for page in PAGES} >= CONCEPTS


@pytest.mark.parametrize(
    "page", [one for one in PAGES if one not in {*OF_ENVIRONMENTS, *RUN_WHOLE}], ids=name_of
)
def test_python_of_the_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "page"}
    for line, source in blocks(page, "python"):
        # Line numbers of a traceback are those of the page.
        exec(compile("\n" * (line - 1) + source, name_of(page), "exec"), namespace)  # noqa: S102 - our own page


def test_every_page_of_a_source_is_run_where_its_framework_is() -> None:
    tests = [file.read_text("utf-8") for file in (ROOT / "tests/sources").glob("*/test_*.py")]

    for page in OF_ENVIRONMENTS:
        assert any(f'/ "{page.name}"' in text for text in tests), page.name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_toml_of_the_page_is_a_configuration(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugins").mkdir()  # pages name it as plugins_dir
    for _, text in blocks(page, "toml"):
        tables = tomllib.loads(text)
        if "project" in tables or "build-system" in tables:
            continue  # a pyproject.toml
        for variable in re.findall(r"\$\{(\w+)\}", text):
            monkeypatch.setenv(variable, "1")
        for file in re.findall(r"\$\{file:([^}]+)\}", text):
            secret = tmp_path / "secret"
            secret.write_text("a-token-of-the-docs")
            text = text.replace(file, str(secret))  # noqa: PLW2901 - the page names a file of its own
        config = load_config(write_config(text, tmp_path / "hypervisor.toml"))
        known = {
            name: table for name, table in config.plugins.items() if name in installed_plugins()
        }
        _, problems = load_plugins(Config(plugins=known))
        assert problems == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_of_the_page_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert [target for target in LINK.findall(text) if not (page.parent / target).exists()] == []


def anchors(page: Path) -> set[str]:
    """Give the anchors of *page*'s headings, as GitHub makes them."""
    headings = re.findall("^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_into_pages_find_their_headings(page: Path) -> None:
    links = ANCHOR.findall(page.read_text(encoding="utf-8"))

    assert [
        (target, anchor)
        for target, anchor in links
        if anchor not in anchors(page.parent / target if target else page)
    ] == []


def test_plugin_that_the_readme_calls_complete_is_short() -> None:
    example = ROOT / "docs/examples/hypervisor-console/src/hypervisor_console.py"

    assert len(example.read_text(encoding="utf-8").splitlines()) < 60


def test_readme_is_short_and_sends_nothing_to_one_port_twice() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    endpoints = re.findall(r'^endpoint = "(.*)"$', text, re.MULTILINE)

    assert text.count("\n") < 200
    assert len(endpoints) == len(set(endpoints)) == 2
