"""What a configuration holds cannot command the terminal of whoever reads its problems."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypervisor_observability.config import read_config
from hypervisor_observability.config.shown import MAX_REASON, MAX_SHOWN, cut, harmless
from hypervisor_observability.errors import ConfigError, ConfigProblem
from hypervisor_observability.text.terminal_text import escape

ODD = {
    "command": "\x1b[2J",
    "second line": "a\nb: forged",
    "right to left": "\u202e",
    "filler": "\u3164",
    "variation selector": "\U000e0100",
    "marks": "e" + 40 * "\u0301",
    "long": 2_500 * "k",
}


def toml_string(text: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08X}" for character in text) + '"'


def told(path: Path, text: str) -> list[str]:
    path.write_text(text, "utf-8")
    return [str(problem) for problem in read_config(path, environ={})[1]]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "hypervisor.toml"


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize(
    "template",
    [
        "{0} = 1",
        "{0} = 1\n{0} = 2",
        "[{0}]\n[{0}]",
        "[bus]\nmax_events = {0}",
        "[redaction]\npatterns = [{1}]",
        "service = {2}",
        "service = {3}",
        "[bus]\nmax_events = {2}",
        "[plugins.{0}]\nx = {2}",
    ],
)
def test_problem_is_one_harmless_line_of_bounded_length(
    template: str, odd: str, file: Path
) -> None:
    texts = [odd, "(" + odd, "${file:" + odd + "}", "${" + odd + "}"]

    lines = told(file, template.format(*map(toml_string, texts)))

    assert lines
    for line in lines:
        assert line == escape(line)
        assert len(line.removeprefix(str(file))) < 3 * MAX_REASON


@given(st.text(max_size=300))
@example("\x1b[2J" * 99)
def test_text_of_others_is_harmless_and_cut(text: str) -> None:
    shown = harmless(text)

    assert shown == escape(shown)
    assert "\n" not in shown
    assert len(shown) <= MAX_REASON
    if text.isascii() and text.isprintable() and len(text) <= MAX_REASON:
        assert shown == text


def test_cut_text_says_that_it_was_cut() -> None:
    assert cut("x" * MAX_SHOWN) == "x" * MAX_SHOWN
    assert cut("x" * (MAX_SHOWN + 1)) == "x" * (MAX_SHOWN - 3) + "..."


def test_problem_that_a_plugin_tells_is_one_harmless_line() -> None:
    problem = ConfigProblem(
        "a\x1b[2J.toml", 3, "plugins.p", "no such thing\nb.toml:1: forged\u202e"
    )

    assert str(problem) == (
        "a\\x1b[2J.toml:3: plugins.p: no such thing\\x0ab.toml:1: forged\\u202e"
    )
    assert str(ConfigError([problem, problem])).splitlines() == [
        "a\\x1b[2J.toml: 2 problems",
        f"  {problem}",
        f"  {problem}",
    ]
