"""The command ``hvobs`` itself: what it finds, loads and says when something goes wrong."""

import os
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import click
import pytest

from hypervisor_observability import __version__, output
from hypervisor_observability.cli.main import COMMANDS, hvobs, main
from hypervisor_observability.errors import ConfigError, ConfigProblem, Reject
from tests.commands import HVOBS, run_hvobs

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call ``main`` as the script does: gives exit code, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        written = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return code, written.out, written.err

    return call


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Put a command ``broken`` into the table: it raises, or is whatever is given."""
    module = ModuleType("a_module_of_this_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(COMMANDS, "broken", (f"{module.__name__}:command", "Breaks."))

    def be(what: object) -> None:
        def fail() -> None:
            assert isinstance(what, BaseException)
            raise what

        failing = isinstance(what, BaseException)
        module.command = (  # type: ignore[attr-defined]  # a module made for this
            click.Command("broken", callback=fail) if failing else what
        )

    return be


def test_version_is_printed(run: Run) -> None:
    assert run("--version") == (0, f"hvobs {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], []])
def test_help_lists_the_commands(run: Run, arguments: list[str]) -> None:
    code, out, err = run(*arguments)

    assert (code, err) == (0, "")
    for name, (_, text) in COMMANDS.items():
        assert f"  {name}" in out
        assert text in out


def test_help_and_version_load_no_command(run: Run, broken: Callable[[object], None]) -> None:
    broken(ImportError("was loaded"))
    del sys.modules["a_module_of_this_test"]

    assert run("--version")[0] == 0
    assert "Breaks." in run("--help")[1]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_table_says_of_a_command_what_it_says_of_itself(name: str) -> None:
    context = click.Context(hvobs)
    command = hvobs.get_command(context, name)

    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(limit=200) == COMMANDS[name][1]


def test_short_help_option_works_below_too(run: Run) -> None:
    assert "EVENTS" in run("tree", "-h")[1]


def test_command_that_cannot_be_imported_hurts_no_other(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMANDS, "broken", ("no_such_module:command", "Breaks."))

    code, out, err = run("broken")

    assert (code, out) == (1, "")
    assert err == (
        "Error: 'broken' cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'\n"
    )
    assert run("tree", "--help")[0] == 0


def test_command_that_is_none_is_refused(run: Run, broken: Callable[[object], None]) -> None:
    broken("a string")

    assert run("broken") == (1, "", "Error: 'broken' cannot be loaded: command is no command\n")


def test_unknown_name_suggests_a_near_one(run: Run) -> None:
    code, out, err = run("chek")

    assert (code, out) == (2, "")
    assert "no such command or plugin: 'chek' (did you mean 'check'?)" in err


def test_unknown_name_that_is_near_none_lists_all(run: Run) -> None:
    code, _, err = run("zzz")

    assert code == 2
    told, _, listed = err.partition(" (there are: ")
    assert told.endswith("'zzz'")
    assert {"check", "demo", "doctor", "plugins"} <= set(listed.strip(")\n").split(", "))


def test_unknown_option_is_a_usage_error(run: Run) -> None:
    code, out, err = run("--nonsense")

    assert (code, out) == (2, "")
    assert "--nonsense" in err


def test_hostile_name_does_not_command_the_terminal(run: Run) -> None:
    code, _, err = run("\x1b]0;owned\x07")

    assert code == 2
    assert "\x1b" not in err
    assert "\\x1b]0;owned\\x07" in err


def test_completion_is_not_disturbed_by_an_unknown_name() -> None:
    context = click.Context(hvobs, resilient_parsing=True)

    assert hvobs.resolve_command(context, ["nonsense"])[1] is None


def test_problems_of_a_configuration_are_shown_as_they_are(
    run: Run, broken: Callable[[object], None]
) -> None:
    broken(ConfigError([ConfigProblem("h.toml", 6, "plugins.x.host", "expected a string")]))

    assert run("broken") == (2, "", "h.toml:6: plugins.x.host: expected a string\n")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PermissionError(13, "Permission denied", "x"), "[Errno 13] Permission denied: 'x'"),
        (KeyError("x"), "KeyError: 'x' (hvobs --traceback ... shows where)"),
        (BrokenPipeError(32, "a socket's other end is gone"), "[Errno 32] a socket's other"),
    ],
)
def test_unexpected_error_is_one_line(
    run: Run, broken: Callable[[object], None], error: Exception, text: str
) -> None:
    broken(error)

    code, out, err = run("broken")

    assert (code, out) == (1, "")
    assert err.startswith(f"Error: {text}")
    assert err.count("\n") == 1


def test_traceback_is_shown_when_asked_for(broken: Callable[[object], None]) -> None:
    broken(KeyError("x"))

    with pytest.raises(KeyError):
        main(["--traceback", "broken"])


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (click.Abort(), 1), (click.exceptions.Exit(7), 7)],
)
def test_interrupt_and_exit_have_their_codes(
    run: Run, broken: Callable[[object], None], error: BaseException, code: int
) -> None:
    broken(error)

    assert run("broken")[:2] == (code, "")


def test_question_without_an_answer_ends_with_a_word(
    run: Run, broken: Callable[[object], None]
) -> None:
    broken(click.Abort())

    assert run("broken")[2].strip() == "aborted"


def test_what_a_command_returns_is_no_exit_code(run: Run, broken: Callable[[object], None]) -> None:
    broken(click.Command("broken", callback=lambda: 3))

    assert run("broken")[0] == 0


def test_runner_of_click_sees_the_same() -> None:
    done = run_hvobs("chek")

    assert done.exit_code == 2
    assert "did you mean 'check'?" in done.stderr


def test_process_without_stdout_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)

    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert not output.coloured()
    assert not output.reader_is_gone()
    output.discard_stdout()


class Terminal:
    """A stream that says that it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.encoding = encoding

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal())

    assert output.coloured() is coloured


def test_encoding_decides_what_can_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {}
    for encoding in ("utf-8", "ascii", "no such encoding"):
        monkeypatch.setattr(sys, "stdout", Terminal(encoding))
        answers[encoding] = output.can_show("├─")

    assert answers == {"utf-8": True, "ascii": False, "no such encoding": False}


def test_table_aligns_and_escapes_its_cells() -> None:
    rows = [("a", "ok", "first"), ("漢字", "failed", "line\n\x1bfeed"), ("b", "ok", "")]

    assert output.table(rows).split("\n") == [
        "a     ok      first",
        "漢字  failed  line \\x1bfeed",
        "b     ok",
    ]
    assert "\x1b[31mfailed\x1b[0m  line" in output.table(rows, colour=True)


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("two\nlines"), "two lines"),
        (Reject("too long"), "too long"),
        (TimeoutError(), "TimeoutError"),
        (TypeError("odd"), "TypeError: odd"),
        (UnspeakableError(), "UnspeakableError"),
    ],
)
def test_reason_is_one_line_of_any_exception(error: Exception, text: str) -> None:
    assert output.reason(error) == text


def test_module_runs_as_the_command_does() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hypervisor_observability", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == f"hvobs {__version__}\n"


def test_bash_completes_commands() -> None:
    environ = {**os.environ, "_HVOBS_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    done = subprocess.run(
        HVOBS,
        env={**environ, "COMP_WORDS": "hvobs dead"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == "plain,dead-letters\n"
