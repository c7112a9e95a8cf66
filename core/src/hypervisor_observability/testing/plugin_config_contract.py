"""The hooks and ``Config`` are spelt right, and making a plugin does nothing."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, get_type_hints
from unittest import SkipTest

import attrs

from ..config import DeliveryConfig, PluginTable, structure_plugin_table
from ..config.secret import Secret
from ..config.wording import holds_secret
from ..host.kinds import READER, kind_of
from ..host.plugin_checks import checked
from .constructor_work import work_of_constructor
from .plugin_tests import PluginTests

_SECRET_NAME = re.compile(r"(password|passwd|secret|token|api_?key|credential)s?$", re.IGNORECASE)
_UNKNOWN_KEY = "no_such_key"


class ConfigContract(PluginTests):
    """Tests of what can be seen before the plugin starts."""

    def test_hooks_are_spelt_right(self) -> None:
        """Each hook exists, takes the arguments that it is given, has its mark and is called."""
        with self.prepared():
            instance = self.make_plugin()
            try:
                plugin = checked("contract", instance, DeliveryConfig())
            except ValueError as error:
                raise AssertionError(f"the plugin is refused when it is loaded: {error}") from None
            assert kind_of(plugin) is READER, (
                f"this is {kind_of(plugin).name}: prove a store with StoreContract, and a source"
                " with SourceContract"
            )

    def test_constructor_does_no_work(self) -> None:
        """``hvobs check`` and others make plugins that never start: ``start`` does the work."""
        with self.prepared():
            self.plugin()  # imports what it needs
            done = work_of_constructor(self.make_plugin)
        assert not done, (
            f"__init__ does work: {', '.join(done)}. Open files and sockets, and start threads,"
            " in the hook start"
        )

    def test_config_takes_its_keys_and_no_others(self) -> None:
        """The required keys are enough, and a misspelt one is a mistake with its line."""
        config_class = self._config_class()
        _, problems = _structured(config_class, self.settings())
        assert not problems, (
            f"a table with the keys of settings() is refused: {'; '.join(problems)}. Give the other"
            " fields of Config defaults, or return their keys from settings()"
        )
        _, problems = _structured(config_class, {**self.settings(), _UNKNOWN_KEY: 1})
        assert any(_UNKNOWN_KEY in problem for problem in problems), (
            f"the table takes the unknown key {_UNKNOWN_KEY!r}: a user's misspelt key would be"
            " ignored. Write Config as a class with a field for each key"
        )

    def test_config_is_the_same_each_time_it_is_read(self) -> None:
        """It is a frozen value: a plugin that is made again after a hang begins as the first."""
        config_class = self._config_class()
        settings = self.settings()
        first, problems = _structured(config_class, settings)
        second, _ = _structured(config_class, settings)
        if problems:
            raise SkipTest("Config cannot be made of settings(), see the test of its defaults")
        name = config_class.__name__
        assert first == second, (
            f"two tables with the same keys make two {name} that are not equal: leave eq alone, and"
            " read clocks, random numbers and files in start"
        )
        for key in _types(config_class):
            try:
                setattr(first, key, getattr(first, key))
            except (AttributeError, TypeError):
                continue
            raise AssertionError(f"{name}.{key} can be changed: make {name} frozen")

    def test_secrets_of_config_have_their_type(self) -> None:
        """A ``Secret`` is shown by no ``repr``; a string is."""
        config_class = self._config_class()
        open_ = [
            key
            for key, type_ in _types(config_class).items()
            if _SECRET_NAME.search(key)
            and type_ not in {bool, int, float}
            and not holds_secret(type_)
        ]
        assert not open_, (
            f"{config_class.__name__}.{', '.join(open_)}: logs and errors show a string. Declare it"
            " as hypervisor_observability.config.Secret, and call reveal() where it is sent"
        )

    def _config_class(self) -> Any:
        """Give the plugin's ``Config``.

        Raises:
            SkipTest: It has none.
        """
        with self.prepared():
            config_class = getattr(type(self.make_plugin()), "Config", None)
        if config_class is None:
            assert not self.settings(), (
                "settings() has keys, and the plugin has no Config, so its table takes none: write"
                " 'Config = MyConfig' in the class"
            )
            raise SkipTest("the plugin has no Config: its table takes no keys of its own")
        return config_class


def _types(config_class: Any) -> dict[str, Any]:
    """Give the types of the fields, by name."""
    types = get_type_hints(config_class)
    return {name: types.get(name) for name in _names(config_class)}


def _names(config_class: Any) -> list[str]:
    """Give the names of the fields of an attrs class or a dataclass; none of another class."""
    if dataclasses.is_dataclass(config_class):
        return [field.name for field in dataclasses.fields(config_class)]
    return [field.name for field in attrs.fields(config_class)] if attrs.has(config_class) else []


def _structured(config_class: Any, settings: Mapping[str, Any]) -> tuple[Any, list[str]]:
    table = PluginTable("contract", dict(settings))
    config, _, problems = structure_plugin_table(table, config_class, DeliveryConfig())
    return config, [f"{problem.key}: {problem.message}" for problem in problems]


def secrets_of(config: object, *, depth: int = 4) -> list[str]:
    """Give the texts of all ``Secret`` values in *config*."""
    if isinstance(config, Secret):
        return [config.reveal()]
    if depth == 0:
        return []
    parts: list[object] = []
    if isinstance(config, Mapping):
        parts = list(config.values())
    elif isinstance(config, (list, tuple, set, frozenset)):
        parts = list(config)
    else:
        parts = [getattr(config, name, None) for name in _names(type(config))]
    return [text for part in parts for text in secrets_of(part, depth=depth - 1)]
