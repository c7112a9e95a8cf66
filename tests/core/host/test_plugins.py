"""From an installed distribution to a checked plugin: found, imported, refused."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypervisor_observability import ConfigError, Observability
from hypervisor_observability.config import DeliveryConfig
from hypervisor_observability.host.discovery import installed_plugins
from hypervisor_observability.host.plugin_checks import HOOKS, checked
from hypervisor_observability.host.plugins import SEEN_BY, SHIPPED
from tests.configurations import write_config

Install = Callable[..., None]

GOOD = """
from attrs import define, field, frozen
from attrs.validators import ge, le
from hypervisor_observability import hookimpl

@frozen
class Config:
    host: str = "127.0.0.1"
    port: int = field(default=1, validator=[ge(1), le(65535)])

@define(eq=False)
class Plugin:
    config: Config
    Config = Config

    @hookimpl
    def export_events(self, events):
        pass
"""


@pytest.fixture
def problems_of(tmp_path: Path) -> Callable[[str], list[str]]:
    def problems(text: str) -> list[str]:
        path = write_config(text, tmp_path / "hypervisor.toml")
        try:
            Observability.from_config(path)
        except ConfigError as error:
            return [str(problem).replace(f"{tmp_path}/", "") for problem in error.problems]
        return []

    return problems


def test_named_plugin_is_made_with_its_table(install: Install, tmp_path: Path) -> None:
    install("good", GOOD)
    text = "[plugins.good]\nport = 7\nmax_batch_events = 5\n"
    path = write_config(text, tmp_path / "h.toml")

    observability = Observability.from_config(path)

    assert observability.plugin("good").config.port == 7
    assert observability.states() == {"good": "new"}


def test_installed_plugin_that_is_not_named_is_never_imported(
    install: Install, problems_of: Callable[[str], list[str]]
) -> None:
    install("idle", "raise SystemExit('imported')")
    install("good", GOOD)

    assert problems_of("[plugins.good]\n") == []
    assert "idle" in installed_plugins()
    assert "acme_idle" not in sys.modules


@pytest.mark.fault("F5")
def test_all_problems_of_the_file_are_told_at_once(
    install: Install, problems_of: Callable[[str], list[str]]
) -> None:
    install("good", GOOD)
    install("broken", "import nowhere_to_be_found")
    install("exits", "import sys; sys.exit(3)")
    install("misspelt", GOOD.replace("def export_events", "def export_event"))

    assert problems_of(
        "servce = 'x'\n"
        "[plugins.good]\n"
        "host = 5\n"
        "prot = 8125\n"
        "[plugins.godo]\n"
        "[plugins.broken]\n"
        "[plugins.exits]\n"
        "[plugins.misspelt]\n"
        "[plugins.quite_unknown]\n"
        "[plugins.good.extra]\n"
    ) == [
        "hypervisor.toml:1: servce: unknown key (did you mean 'service'?)",
        "hypervisor.toml:3: plugins.good.host: expected a string, got the integer 5",
        "hypervisor.toml:4: plugins.good.prot: unknown key (did you mean 'port'?)",
        "hypervisor.toml:5: plugins.godo: no such plugin is installed (did you mean 'good'?)",
        (
            "hypervisor.toml:6: plugins.broken: acme-broken 1.2 fails on import "
            "(ModuleNotFoundError: No module named 'nowhere_to_be_found')"
        ),
        "hypervisor.toml:7: plugins.exits: acme-exits 1.2 fails on import (SystemExit: 3)",
        (
            "hypervisor.toml:8: plugins.misspelt: Plugin: unknown hook 'export_event' "
            "(did you mean 'export_events'?)"
        ),
        problems_of("[plugins.quite_unknown]\n")[0].replace(":1:", ":9:"),
        "hypervisor.toml:10: plugins.good.extra: unknown key",
    ]


@pytest.mark.parametrize("name", ["langgraph", "pydantic_ai", "google-adk", "autogen", "MCP"])
def test_framework_that_another_source_sees_is_told_with_that_source(
    name: str, problems_of: Callable[[str], list[str]]
) -> None:
    source = SEEN_BY[name.lower().replace("_", "-")]

    (problem,) = problems_of(f"[plugins.{name}]\n")

    assert problem == (
        f"hypervisor.toml:1: plugins.{name}: no such plugin: the source '{source}' sees this,"
        f" which comes with {SHIPPED[source]}"
    )


@pytest.mark.fault("F5")
def test_plugin_that_is_not_installed_is_told_with_those_that_are(
    install: Install, problems_of: Callable[[str], list[str]]
) -> None:
    install("good", GOOD)

    (problem,) = problems_of("[plugins.zzzzzz]\n")

    assert problem.startswith(
        "hypervisor.toml:1: plugins.zzzzzz: no such plugin is installed (installed: "
    )
    assert "good" in problem


@pytest.mark.fault("F5")
def test_shipped_plugin_that_is_not_installed_is_told_with_its_distribution(
    monkeypatch: pytest.MonkeyPatch, problems_of: Callable[[str], list[str]]
) -> None:
    monkeypatch.setattr("hypervisor_observability.host.plugins.found_plugins", lambda *_: {})

    assert problems_of("[plugins.statsd]\n") == [
        (
            "hypervisor.toml:1: plugins.statsd: this plugin is not installed: it comes with "
            "hypervisor-statsd"
        )
    ]


def test_name_claimed_by_two_distributions_is_refused(
    install: Install, problems_of: Callable[[str], list[str]]
) -> None:
    install("good", GOOD, distribution="acme-one")
    install("good", GOOD, distribution="acme-two")

    (problem,) = problems_of("[plugins.good]\n")

    assert "claimed by " in problem
    assert "acme-one 1.2" in problem
    assert "acme-two 1.2" in problem


def test_stranger_who_claims_a_shipped_name_is_refused(
    install: Install, problems_of: Callable[[str], list[str]]
) -> None:
    installed = installed_plugins().get("statsd", ())
    install("statsd", "raise SystemExit('imported')", distribution="acme-stats")

    (problem,) = problems_of("[plugins.statsd]\n")

    assert "acme-stats 1.2" in problem
    expected = "uninstall all but one" if installed else "belongs to hypervisor-statsd"
    assert expected in problem
    assert "acme_stats" not in sys.modules


@pytest.mark.fault("F5")
@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        (GOOD, ":Config", "implements no hook"),
        (GOOD, ":nothing", "fails on import (AttributeError"),
        (GOOD.replace("    @hookimpl\n", ""), ":Plugin", "implements no hook"),
        (GOOD.replace("(self, events)", "(self, evnts)"), ":Plugin", "evnts"),
        (GOOD + "\n    def __attrs_post_init__(self): 1 / 0", ":Plugin", "ZeroDivisionError"),
    ],
)
def test_class_that_is_no_plugin_is_refused(
    source: str,
    value: str,
    expected: str,
    install: Install,
    problems_of: Callable[[str], list[str]],
) -> None:
    install("odd", source, value=value)

    (problem,) = problems_of("[plugins.odd]\n")

    assert problem.startswith("hypervisor.toml:1: plugins.odd: ")
    assert expected in problem


def test_keyboard_interrupt_during_an_import_is_the_users(
    install: Install, problems_of: Callable[[str], list[str]]
) -> None:
    install("slow", "raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        problems_of("[plugins.slow]\n")


def test_class_in_place_of_an_instance_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an instance, got the class Thing"):
        checked("thing", type("Thing", (), {}), DeliveryConfig())


def test_every_hook_of_the_contract_is_known() -> None:
    assert set(HOOKS) == {
        "start", "export_events", "export_spans", "export_metrics", "flush", "stop", "check",
        "commands", "trace_url", "page_url", "open_store", "open_history", "follow_store",
        "instrument", "uninstrument",
    }  # fmt: skip


def test_same_distribution_twice_on_the_path_is_no_conflict(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("good", GOOD)
    other: Any = tmp_path / "again"
    (tmp_path / "site").rename(other)
    (tmp_path / "site").symlink_to(other)
    monkeypatch.syspath_prepend(str(other))

    assert len(installed_plugins()["good"]) == 1


@pytest.mark.fault("F6")
def test_paths_and_names_do_not_lead_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "hypervisor.toml"
    file.write_text(
        '[state]\ndirectory = "a\\u0000b"\n'
        '[plugins.journal]\ndirectory = ""\n'
        '[plugins."../x"]\n[plugins."/etc/passwd"]\n'
    )
    with pytest.raises(ConfigError) as caught:
        Observability.from_config(file)

    assert [problem.line for problem in caught.value.problems] == [2, 4, 5, 6]
    assert [one.name for one in tmp_path.iterdir()] == ["hypervisor.toml"]


@pytest.mark.parametrize("error", ["SystemExit", "BaseException", "GeneratorExit"])
def test_init_may_raise_anything_and_is_a_problem_of_its_table(
    install: Install, problems_of: Callable[[str], list[str]], error: str
) -> None:
    install("good", f"{GOOD}\n    def __attrs_post_init__(self):\n        raise {error}('no')\n")

    assert problems_of("[plugins.good]\n") == [
        f"hypervisor.toml:1: plugins.good: Plugin: RuntimeError: {error}: no"
    ]
