"""What a plugin's ``Config`` may be: left out, an attrs class, a dataclass."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor_observability import ConfigError, Observability
from tests.configurations import write_config

Install = Callable[..., None]

PLUGIN = """
    def __init__(self, config):
        self.config = config

    @hookimpl
    def export_events(self, events):
        pass
"""

ATTRS = """
from attrs import define, field, frozen
from attrs.validators import ge
from hypervisor_observability import hookimpl
from hypervisor_observability.errors import SettingError
from hypervisor_observability.config import Secret

@frozen
class Inner:
    depth: int = 1

@frozen
class Settings:
    address: str
    port: int = field(default=1, validator=ge(1))
    tags: tuple[str, ...] = ()
    inner: Inner = field(factory=Inner)
    token: Secret | None = None
    def __attrs_post_init__(self):
        if self.address == "moon":
            raise SettingError("address", "the moon has none")
        if self.port == 13:
            raise ValueError("port: 13 brings bad luck")

class Plugin:
    Config = Settings
"""

DATACLASS = """
from dataclasses import dataclass, field
from hypervisor_observability import hookimpl
from hypervisor_observability.errors import SettingError
from hypervisor_observability.config import Secret

@dataclass
class Inner:
    depth: int = 1

@dataclass({options})
class Settings:
    address: str
    port: int = 1
    tags: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)
    token: Secret | None = None
    def __post_init__(self):
        if self.address == "moon":
            raise SettingError("address", "the moon has none")
        if self.port == 13:
            raise ValueError("port: 13 brings bad luck")

class Plugin:
    Config = Settings
"""

WAYS = {
    "attrs": ATTRS,
    "dataclass": DATACLASS.format(options=""),
    "frozen": DATACLASS.format(options="frozen=True"),
    "slots": DATACLASS.format(options="frozen=True, slots=True"),
    "text": "from __future__ import annotations\n" + DATACLASS.format(options="kw_only=True"),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return WAYS[request.param] + PLUGIN


def loaded(tmp_path: Path, text: str) -> Observability:
    return Observability.from_config(write_config(text, tmp_path / "h.toml"))


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_table_fills_the_class(way: str, install: Install, tmp_path: Path) -> None:
    install("way", way)
    text = '[plugins.way]\naddress = "here"\ntags = ["a"]\ninner = { depth = 2 }\ntoken = "s"\n'

    config = loaded(tmp_path, text).plugin("way").config

    assert (config.address, config.port, config.tags, config.inner.depth) == ("here", 1, ("a",), 2)
    assert config.token.reveal() == "s"


def test_all_mistakes_are_reported_on_their_lines(
    way: str, install: Install, tmp_path: Path
) -> None:
    install("way", way)
    text = '[plugins.way]\nprot = 3\nport = "7"\ntags = "a"\ninner = { depht = 2 }\n'

    found = problems(tmp_path, text)

    assert sorted(found) == [
        "h.toml:1: plugins.way.address: missing, expected a string",
        "h.toml:2: plugins.way.prot: unknown key (did you mean 'port'?)",
        "h.toml:3: plugins.way.port: expected an integer, got the string '7'",
        "h.toml:4: plugins.way.tags: expected a list, got the string 'a'",
        "h.toml:5: plugins.way.inner.depht: unknown key (did you mean 'depth'?)",
    ]


def test_check_of_the_whole_names_the_line_of_its_key(
    way: str, install: Install, tmp_path: Path
) -> None:
    install("way", way)

    moon = problems(tmp_path, '[plugins.way]\nport = 2\naddress = "moon"\n')
    luck = problems(tmp_path, '[plugins.way]\naddress = "x"\nport = 13\n')

    assert moon == ["h.toml:3: plugins.way.address: address: the moon has none"]
    assert luck == ["h.toml:3: plugins.way.port: port: 13 brings bad luck"]


def test_reserved_key_is_refused_of_a_dataclass_too(install: Install, tmp_path: Path) -> None:
    install(
        "way", WAYS["dataclass"].replace("port: int = 1", "port: int = 1; events: int = 1") + PLUGIN
    )

    found = problems(tmp_path, '[plugins.way]\naddress = "x"\n')

    assert "has a field of this name, which delivery takes" in found[0]


def test_plugin_without_config_is_made_of_nothing(install: Install, tmp_path: Path) -> None:
    install(
        "bare",
        "from hypervisor_observability import hookimpl\n"
        "class Plugin:\n    @hookimpl\n    def export_events(self, events): ...\n",
    )

    observability = loaded(tmp_path, "[plugins.bare]\nmax_batch_events = 5\n")
    (found,) = problems(tmp_path, "[plugins.bare]\nport = 5\n")

    assert observability.states() == {"bare": "new"}
    assert found.endswith("port: unknown key: Plugin has no Config, so it has no keys of its own")


def test_problems_are_in_the_order_of_the_file(install: Install, tmp_path: Path) -> None:
    install("way", WAYS["dataclass"] + PLUGIN)

    found = problems(tmp_path, "[plugins.way]\nport = 5\nprot = 5\n\n[plugins.none]\n")

    assert [one.split(":", 3)[:3] for one in found] == [
        ["h.toml", "1", " plugins.way.address"],
        ["h.toml", "3", " plugins.way.prot"],
        ["h.toml", "5", " plugins.none"],
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("self, config", "self", "it has a Config, and its __init__ does not take it"),
        ("    Config = Settings\n", "", "it has no Config to make it of: write 'Config ="),
        (
            "Config = Settings",
            "Config = int",
            ": int is neither an attrs class nor a dataclass: put @",
        ),
    ],
)
def test_config_and_init_that_do_not_fit_are_told_what_to_write(
    old: str, new: str, expected: str, install: Install, tmp_path: Path
) -> None:
    source = (ATTRS + PLUGIN).replace(old, new).replace("self.config = config", "pass")
    install("odd", source)
    keys = 'address = "x"\n' if "address" in source and "Config = Settings" in source else ""

    (found,) = problems(tmp_path, f"[plugins.odd]\n{keys}")

    assert expected in found


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2", "written for version 2 of the plugin API, and this hypervisor-observability has"),
        ("0", "api_version: expected a whole number from 1, got 0"),
        ("True", "expected a whole number from 1, got True"),
        ("'1'", "expected a whole number from 1, got '1'"),
    ],
)
def test_plugin_of_another_api_is_refused_before_anything_else(
    written: str, expected: str, install: Install, tmp_path: Path
) -> None:
    source = ATTRS.replace("Config = Settings", f"api_version = {written}") + PLUGIN
    install("later", source.replace("export_events", "export_dreams"))

    (found,) = problems(tmp_path, "[plugins.later]\nunheard_of = 1\n")

    assert found.startswith("h.toml:1: plugins.later: acme-later 1.2: ")
    assert expected in found


def test_version_that_says_what_to_upgrade(
    monkeypatch: pytest.MonkeyPatch, install: Install, tmp_path: Path
) -> None:
    install("early", ATTRS.replace("Config = Settings", "api_version = 2") + PLUGIN)
    monkeypatch.setattr("hypervisor_observability.host.plugin_api.API_VERSION", 4)
    monkeypatch.setattr("hypervisor_observability.host.plugin_api.OLDEST_API_VERSION", 3)

    (found,) = problems(tmp_path, "[plugins.early]\n")

    assert "this hypervisor-observability has versions 3 to 4: upgrade acme-early" in found


def test_plugin_says_its_own_version(install: Install, tmp_path: Path) -> None:
    source = ATTRS.replace("Config = Settings", "api_version = 1") + PLUGIN
    install("fits", source.replace("self, config", "self").replace("= config", "= 1"))

    assert loaded(tmp_path, "[plugins.fits]\n").states() == {"fits": "new"}


SLOTS = """
from attrs import define, field
from hypervisor_observability import hookimpl

@define(eq=False)
class Plugin:
    _file: object = field(init=False)

    @hookimpl
    def start(self, context):
        self._file = ()
        self.{name} = context.logger

    @hookimpl
    def export_events(self, events):
        other = events
        other.whatever = 1
"""


def test_undeclared_attribute_of_a_class_with_slots_is_found_at_load(
    install: Install, tmp_path: Path
) -> None:
    install("slots", SLOTS.format(name="_log"))

    (found,) = problems(tmp_path, "[plugins.slots]\n")

    assert found == (
        "h.toml:1: plugins.slots: Plugin: line 12: start sets self._log, which is not a field, and"
        " @define gives Plugin only the attributes that are: write '_log: ... = field(init=False)'"
        " in the class, or '@define(eq=False, slots=False)' above it"
    )


@pytest.mark.parametrize("options", ["eq=False", "eq=False, slots=False"])
def test_declared_attribute_or_a_class_without_slots_is_fine(
    options: str, install: Install, tmp_path: Path
) -> None:
    name = "_file" if "slots" not in options else "_log"
    install("slots", SLOTS.format(name=name).replace("eq=False", options))

    assert loaded(tmp_path, "[plugins.slots]\n").states() == {"slots": "new"}
