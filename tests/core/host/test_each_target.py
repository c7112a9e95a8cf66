"""Sources that observe several frameworks: each is instrumented when it is imported."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

from hypervisor_observability import ConfigError, Observability, hookimpl
from hypervisor_observability.host.sources.post_import import PostImport
from hypervisor_observability.sources import SourceContext

NAMES = ("east_agents", "west_agents", "north_agents")


class Compass:
    """Waits for three frameworks."""

    name = "compass"
    targets = NAMES
    supports = MappingProxyType({"west_agents": ">=1.0,<2"})
    each_target = True

    def __init__(self, fails_for: str = "") -> None:
        self.fails_for = fails_for
        self.log: list[str] = []

    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        self.log.append(context.target)
        if context.target == self.fails_for:
            raise ValueError("not this one")

    @hookimpl
    def uninstrument(self) -> None:
        self.log.append("uninstrument")


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path with the frameworks, of which none is imported."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text("__version__ = '1.4'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in NAMES:
        sys.modules.pop(name, None)


def waiting() -> list[PostImport]:
    return [finder for finder in sys.meta_path if isinstance(finder, PostImport)]


def test_source_is_instrumented_for_each_framework_that_is_imported() -> None:
    importlib.import_module("east_agents")
    with Observability(plugins=[source := Compass()]) as observability:
        assert source.log == ["east_agents"]
        importlib.import_module("west_agents")
        assert source.log == ["east_agents", "west_agents"]
        assert observability.states() == {"compass": "running"}
        assert len(waiting()) == 1

    importlib.import_module("north_agents")
    assert source.log == ["east_agents", "west_agents", "uninstrument"]
    assert observability.states() == {"compass": "stopped"}
    assert waiting() == []


def test_source_without_any_framework_waits_and_takes_back_nothing() -> None:
    with Observability(plugins=[source := Compass()]) as observability:
        assert observability.states() == {"compass": f"waiting for {' or '.join(NAMES)}"}

    assert source.log == []


def test_nothing_is_waited_for_once_all_are_imported() -> None:
    with Observability(plugins=[source := Compass()]):
        for name in NAMES:
            importlib.import_module(name)
        assert source.log == list(NAMES)
        assert waiting() == []


@pytest.mark.parametrize("order", [("west_agents", "east_agents"), ("east_agents", "west_agents")])
def test_framework_of_another_version_is_left_alone_and_the_others_are_seen(
    site: Path, order: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    (site / "west_agents.py").write_text("__version__ = '2.0'\n")
    with Observability(plugins=[source := Compass()]) as observability:
        for name in order:
            importlib.import_module(name)
        assert observability.states() == {"compass": "running"}

    assert source.log == ["east_agents", "uninstrument"]
    (record,) = caplog.records
    assert "west_agents 2.0 is not supported, >=1.0,<2 is" in record.getMessage()


def test_source_is_down_while_no_framework_fits(site: Path) -> None:
    (site / "west_agents.py").write_text("__version__ = '2.0'\n")
    with Observability(plugins=[Compass()]) as observability:
        importlib.import_module("west_agents")
        assert observability.states()["compass"].startswith(
            "down: west_agents 2.0 is not supported"
        )


def test_source_that_fails_for_one_framework_takes_back_all_and_waits_no_more() -> None:
    with Observability(plugins=[source := Compass("west_agents")]) as observability:
        for name in NAMES:
            importlib.import_module(name)
        assert observability.states() == {"compass": "down: ValueError: not this one"}

    assert source.log == ["east_agents", "west_agents", "uninstrument"]


def test_each_target_says_true_or_false() -> None:
    class Odd(Compass):
        each_target = "yes"  # type: ignore[assignment]  # the mistake

    with pytest.raises(ConfigError, match="each_target: expected true or false, got 'yes'"):
        Observability(plugins=[Odd()])
