"""``hvobs check``: the configuration's problems, then each plugin's own word."""

import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from hypervisor_observability.cli import check as checking
from hypervisor_observability.cli.check import ask, load_all
from tests.commands import run_hvobs
from tests.configurations import write_config
from tests.distributions import plugins_of, write_distribution

Check = Callable[..., Result]

# A plugin that does in its hook what its table says.
SOURCE = """
import time
from pathlib import Path

from attrs import define, frozen

from hypervisor_observability import RetryLater, hookimpl
from hypervisor_observability.stores import OnlyReadError


@frozen
class Config:
    port: int = 1
    raises: str = ""
    says: str = ""
    waits: float = 0.0


@define(eq=False)
class Plugin:
    config: Config
    Config = Config

    @hookimpl
    def check(self, context):
        assert list(context.metrics.collect()) == []
        assert context.clock() > 0
        time.sleep(self.config.waits)
        if self.config.raises:
            raise eval(self.config.raises)
        return self.config.says.format(context=context) or None


@define(eq=False)
class Silent:
    config: Config
    Config = Config

    @hookimpl
    def flush(self):
        pass


class Library:
    @hookimpl
    def open_store(self, context):
        raise OnlyReadError("shelf", "a process that emits needs one")

    @hookimpl
    def check(self, context):
        return "books to read"
"""


@pytest.fixture
def check(elsewhere: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Check]:
    """Run ``hvobs check`` beside a ``hypervisor.toml`` that names the plugins of this test."""
    site = tmp_path / "site"
    plugins = dict.fromkeys(("good", "bad", "hung"), "acme_checks:Plugin")
    others = {"silent": "acme_checks:Silent", "library": "acme_checks:Library"}
    write_distribution(site, "acme", plugins_of(**plugins, **others))
    (site / "acme_checks.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)

    def run(text: str, *options: str) -> Result:
        write_config(textwrap.dedent(text), tmp_path / "hypervisor.toml")
        return run_hvobs("check", *options)

    yield run
    sys.modules.pop("acme_checks", None)


def test_each_plugin_says_in_a_line_what_it_reached(check: Check) -> None:
    done = check(
        """
        service = "shop"
        [plugins.good]
        says = "{context.service} as {context.name}, by {context.logger.name}"
        [plugins.silent]
        [plugins.bad]
        """
    )

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "good    ok         shop as good, by hypervisor_observability.plugin.good",
        "silent  unchecked  its table is right; it cannot ask its backend",
        "bad     ok         it answers",
    ]


@pytest.mark.parametrize(
    ("raises", "text"),
    [
        ("OSError('connection refused: http://127.0.0.1:4318')", "connection refused: http://127"),
        ("RetryLater('not now')", "not now"),
        ("KeyError('endpoint')", "KeyError: 'endpoint'"),
        ("SystemExit(0)", "SystemExit: 0"),
        (r"ValueError('\\x1b[2Jgone\\nand more')", "\\x1b[2Jgone and more"),
    ],
)
def test_plugin_that_raises_has_failed(check: Check, raises: str, text: str) -> None:
    done = check(f'[plugins.bad]\nraises = "{raises}"\n[plugins.good]\n')

    first, second = done.stdout.splitlines()
    assert done.exit_code == 1
    assert first.startswith(f"bad   failed  {text}")
    assert second.startswith("good  ok")


def test_plugin_that_hangs_holds_nobody_up(
    check: Check, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    check("[plugins.hung]\nwaits = 30.0\n[plugins.good]\n", "--help")  # writes the file

    config, plugins = load_all(tmp_path / "hypervisor.toml")
    hung, good = ask(config, plugins, deadline_seconds=0.3)

    assert (hung.state, hung.message) == ("failed", "no answer within 0.3 s")
    assert good.state == "ok"


def test_deadline_is_five_seconds() -> None:
    assert checking.DEADLINE_SECONDS == 5.0


def test_json_is_ascii(check: Check) -> None:
    done = check("[plugins.bad]\nraises = \"OSError('für \\\\ud800')\"\n", "--json")

    assert done.exit_code == 1
    assert done.stdout.isascii()
    assert json.loads(done.stdout) == {
        "config": "hypervisor.toml",
        "plugins": [{"name": "bad", "state": "failed", "message": "für \ud800"}],
        "surroundings": [],
        "warnings": [],
    }


def test_all_problems_are_told_at_once(check: Check) -> None:
    done = check(
        """\
        servce = "shop"
        [plugins.good]
        prot = 5
        [plugins.goood]
        """
    )

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "hypervisor.toml: 3 problems",
        "  hypervisor.toml:1: servce: unknown key (did you mean 'service'?)",
        "  hypervisor.toml:3: plugins.good.prot: unknown key (did you mean 'port'?)",
        "  hypervisor.toml:4: plugins.goood: no such plugin is installed (did you mean 'good'?)",
    ]


def test_file_that_is_no_toml_is_one_problem(check: Check) -> None:
    done = check("service = ")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("hypervisor.toml:1: not valid TOML")


def test_no_plugin_is_no_failure(check: Check) -> None:
    done = check("service = 'shop'")

    assert (done.exit_code, done.stdout) == (0, "")
    assert "no plugin is on" in done.stderr


def test_switch_that_turns_all_off_is_told(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERVISOR_OBSERVABILITY_DISABLED", "true")

    done = check("[plugins.good]")

    assert done.exit_code == 0
    assert done.stdout.startswith("good  ok")
    assert "an application would start no plugin" in done.stderr


def test_table_of_a_store_that_is_only_read_is_right(check: Check) -> None:
    done = check("[plugins.library]")

    assert (done.exit_code, done.stdout) == (0, "library  ok  books to read\n")
    started = check("[plugins.library]", "--start")
    assert started.exit_code == 1
    assert "a process that emits needs one" in started.stdout


def test_file_can_be_named(check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = write_config("[plugins.silent]", tmp_path / "other.toml")

    assert check("[plugins.good]", "--config", "other.toml").stdout.startswith("silent")
    monkeypatch.setenv("HYPERVISOR_OBSERVABILITY_CONFIG", str(other))
    assert check("[plugins.good]").stdout.startswith("silent")
    missing = check("[plugins.good]", "--config", "missing.toml")
    assert (missing.exit_code, missing.stderr) == (2, "missing.toml: no such file\n")


def test_without_any_file_it_says_how_to_name_one(check: Check, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "elsewhere")
        done = check("[plugins.good]")

    assert (done.exit_code, done.stdout) == (2, "")
    assert "no configuration: name a file with --config" in done.stderr
