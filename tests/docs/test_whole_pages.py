"""How-to pages and others that give files by name are run whole, as a reader would."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest

from tests.docs.test_pages import PAGES, ROOT, RUN_WHOLE, name_of
from tests.markdown import blocks_of
from tests.programs import found_or_skip
from tests.sources.pages import BIN, commands_of, environ_of_commands, matches, run_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the pages are for a POSIX shell"),
]


SENT = {
    "opentelemetry.md": {"invoke_agent buyer", "invoke_agent clerk", "GET /orders", "SELECT orders"}
}
"""Which spans the receiver of a page gets."""


def find_servers(page: Path) -> None:
    """Skip, or in CI fail, where a server that *page* starts is not on this machine."""
    where = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    for block in blocks_of(page):
        if block.is_run and block.language == "console" and block.words and block.text[0] == "$":
            program = block.text.split()[1]
            found_or_skip(program, partial(shutil.which, program, path=where), "Install it.")


@pytest.mark.parametrize("page", RUN_WHOLE, ids=name_of)
def test_page_is_run_as_it_stands(page: Path, tmp_path: Path) -> None:
    find_servers(page)

    spans = run_page(page, tmp_path)

    assert {span.name for span in spans} == SENT.get(page.name, set())
    named = {span.span_id: span.name for span in spans}
    chain = {span.name: named.get(span.parent_span_id) for span in spans}
    if page.name == "opentelemetry.md":
        assert chain["SELECT orders"] == "invoke_agent clerk"
        assert chain["invoke_agent clerk"] == "GET /orders"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_prometheus_keeps_its_data_beside_the_page(page: Path) -> None:
    """Debian's has one folder for all: its rules would see what another page has left there."""
    shown = [block.text for block in blocks_of(page) if block.language == "console"]
    commands = re.findall(r"^\$ prometheus .*", "\n".join(shown), flags=re.MULTILINE)

    assert [command for command in commands if "--storage.tsdb.path" not in command] == []


def test_tutorial_is_run_page_by_page_in_one_folder(tmp_path: Path) -> None:
    pages = sorted(page for page in RUN_WHOLE if page.parent.name == "tutorial")
    index = (pages[0].parent / "index.md").read_text("utf-8")
    pages.sort(key=lambda page: index.index(f"]({page.name})"))

    assert len(pages) == 6
    for page in pages:
        find_servers(page)
        run_page(page, tmp_path)
        shutil.rmtree(tmp_path / "journal", ignore_errors=True)  # its trace is the only one


def shown_in_readme(command: str) -> str:
    """Give what the README shows of the output of *command*, which its blocks do not run."""
    blocks = [block for block in blocks_of(ROOT / "README.md") if block.language == "console"]
    (shown,) = [
        one.shown
        for block in blocks
        for one in commands_of(block.text, block.line)
        if one.text == command
    ]
    return shown


def test_make_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    made = (ROOT / "Makefile").read_text("utf-8")
    (arguments,) = re.findall(r"^demo:.*\n\t@\$\(BIN\)/hvobs (.*)$", made, re.MULTILINE)

    demo = subprocess.run(
        [BIN / "hvobs", *arguments.split()],
        cwd=tmp_path,
        env=environ_of_commands(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # as a terminal shows both
        text=True,
        timeout=120,
        check=False,
    )

    assert demo.returncode == 0, demo.stdout
    headings = re.findall("^== .* ==$", demo.stdout, re.MULTILINE)
    shown = shown_in_readme("make demo")
    assert headings[:3] == re.findall("^== .* ==$", shown, re.MULTILINE)
    assert matches(demo.stdout, shown), f"{demo.stdout}\n--- is said to print:\n{shown}"


def test_make_test_checks_what_the_readme_shows() -> None:
    shown = shown_in_readme("make test")
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    made = (ROOT / "Makefile").read_text("utf-8")
    (least,) = re.findall(r"coverage report --fail-under=(\d+)", made)
    (covered,) = re.findall(r"^TOTAL .* ([\d.]+)%$", shown, re.MULTILINE)

    assert f"Contracts: {len(tools['importlinter']['contracts'])} kept, 0 broken." in shown
    assert float(covered) >= float(least)
    assert "failed" not in shown
    assert re.search(r"\n\d+ passed, .* in [\d.]+s \([\d:]+\)\n$", shown), "the last line"
