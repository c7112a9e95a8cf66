"""Plugins that are single files in a directory, without a distribution."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor_observability import ConfigError, EventType, Observability
from hypervisor_observability.config.lookup import PLUGINS_DIR_VARIABLE
from tests.configurations import write_config

SEEING = """
from dataclasses import dataclass
from hypervisor_observability import hookimpl

@dataclass
class Settings:
    colour: str = "red"

class Seeing:
    Config = Settings

    def __init__(self, config):
        self.config = config
        self.seen = []

    @hookimpl
    def export_events(self, events):
        self.seen += events
"""


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PLUGINS_DIR_VARIABLE, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "plugins"
    made.mkdir()
    made.chmod(0o755)
    (made / "all_seeing.py").write_text(SEEING)
    return made


def loaded(tmp_path: Path, text: str) -> Observability:
    return Observability.from_config(write_config(text, tmp_path / "h.toml"))


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


NAMED = 'plugins_dir = "plugins"\n[plugins.all-seeing]\n'


def test_file_of_the_directory_is_a_plugin(folder: Path, tmp_path: Path) -> None:
    with loaded(tmp_path, f'{NAMED}colour = "blue"\n') as observability:
        observability.bus.record(EventType.VFS_WRITE)
        assert observability.flush(timeout=30)
        plugin = observability.plugin("all-seeing")

    assert len(plugin.seen) == 1
    assert plugin.config.colour == "blue"
    assert list(folder.iterdir()) == [folder / "all_seeing.py"]


def test_variable_goes_before_the_configuration(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    monkeypatch.setenv(PLUGINS_DIR_VARIABLE, str(folder))

    observability = loaded(tmp_path, NAMED.replace('"plugins"', '"other"'))

    assert observability.states() == {"all-seeing": "new"}


def test_directory_is_never_looked_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    (found,) = problems(tmp_path, "[plugins.all-seeing]\n")

    assert found.endswith("install it, or name the directory of its file with plugins_dir")


def test_only_the_named_plugin_is_run_and_it_cannot_import_its_neighbours(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "bomb.py").write_text("raise SystemExit('boom')")
    (folder / "_private_neighbour.py").write_text("raise SystemExit('boom')")
    (folder / "all_seeing.py").write_text(f"import _private_neighbour\n{SEEING}")

    (found,) = problems(tmp_path, NAMED)

    assert found == (
        "h.toml:2: plugins.all-seeing: plugins/all_seeing.py:1:"
        " ModuleNotFoundError: No module named '_private_neighbour'"
    )
    assert str(folder) not in sys.path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n\ndef f(:\n", "all_seeing.py:3: SyntaxError: "),
        (f"{SEEING}\n\n1 / 0\n", "all_seeing.py:21: ZeroDivisionError: division by zero"),
        ("class Seeing: ...\n", "all_seeing.py: no class in it has a hook"),
        (
            SEEING + SEEING.replace("class Seeing", "class Other"),
            "all_seeing.py: there are several plugins, Seeing and Other: a file has one",
        ),
        (SEEING.replace("export_events", "export_event"), "(did you mean 'export_events'?)"),
        (
            SEEING.replace("export_events(self, events)", "export_events(events)"),
            "Seeing: export_events lacks 'self': write 'def export_events(self, events)'",
        ),
        (
            SEEING.replace("export_events(self, events)", "export_events(self, batch)"),
            "Seeing: export_events: no such hook is given 'batch': it may take 'events'",
        ),
        ("raise SystemExit(3)", "fails on import (SystemExit: 3)"),
        (f"api_version = 2\n{SEEING}".replace("    Config", "    api_version = 9\n    Config"),
         "all_seeing.py: written for version 9 of the plugin API"),
    ],
)  # fmt: skip
def test_mistake_in_the_file_is_reported_with_its_line(
    text: str, expected: str, folder: Path, tmp_path: Path
) -> None:
    (folder / "all_seeing.py").write_text(text)
    before = set(sys.modules)

    (found,) = problems(tmp_path, NAMED)

    assert expected in found
    assert found.startswith("h.toml:2: plugins.all-seeing: ")
    if "class" not in text:
        assert not [name for name in set(sys.modules) - before if "all_seeing" in name]


def test_changed_file_is_run_again(folder: Path, tmp_path: Path) -> None:
    first = loaded(tmp_path, NAMED).plugin("all-seeing")
    again = loaded(tmp_path, NAMED).plugin("all-seeing")
    (folder / "all_seeing.py").write_text(SEEING.replace("red", "green"))
    changed = loaded(tmp_path, NAMED).plugin("all-seeing")

    assert type(first) is type(again)
    assert (first.config.colour, changed.config.colour) == ("red", "green")


def test_world_writable_file_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "all_seeing.py").chmod(0o666)

    (found,) = problems(tmp_path, NAMED)

    assert "plugins/all_seeing.py: everybody may write the file (mode 0666)" in found


@pytest.mark.parametrize("place", ["key", "variable"])
def test_world_writable_directory_is_refused(
    place: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.chmod(0o777)
    if place == "variable":
        monkeypatch.setenv(PLUGINS_DIR_VARIABLE, str(folder))
        text, where = "[plugins.all-seeing]\n", f"{PLUGINS_DIR_VARIABLE}: "
    else:
        text, where = NAMED, "h.toml:1: plugins_dir: "

    found = problems(tmp_path, text)[0]

    assert found.startswith(f"{where}everybody may write the directory plugins (mode 0777)")
    assert found.endswith("chmod o-w")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: None, "No such file or directory: expected a directory of plugins"),
        (lambda path: path.write_text("x"), "is not a directory"),
    ],
)
def test_directory_that_is_none_is_refused(
    make: Callable[[Path], object], expected: str, tmp_path: Path
) -> None:
    make(tmp_path / "plugins")

    assert expected in problems(tmp_path, NAMED)[0]


def test_name_of_a_shipped_plugin_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "statsd.py").write_text(SEEING)

    (found,) = problems(tmp_path, 'plugins_dir = "plugins"\n[plugins.statsd]\n')

    assert "plugins/statsd.py" in found
    assert "remove all but one" in found or "give the file another name" in found
