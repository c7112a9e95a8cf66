"""What ``hvobs NAME --help`` says of a plugin: what it is, its table's keys, where its page is."""

import inspect
import re
import textwrap
from collections.abc import Mapping
from enum import Enum
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import PurePath
from typing import Any

import attrs
import click

from ..config import DeliveryConfig, PluginTable
from ..config.class_fields import SettingField, holds_settings, setting_fields
from ..config.structuring import Origin
from ..host.discovery import found_plugins
from ..host.plugins import config_class, load_class
from .config_option import configured_plugins_dir

_ITEM = re.compile(r"^    (\w+): (.*)$")


def write_about(formatter: click.HelpFormatter, name: str, config_file: Any) -> None:
    """Write what the plugin *name* is, and what its table takes; nothing if it cannot be loaded."""
    found = found_plugins(configured_plugins_dir(config_file))
    table = PluginTable(name, origin=Origin(f"hvobs {name}"))
    plugin_class, problems = load_class(table, found)
    if problems:
        return
    text = (inspect.getdoc(plugin_class) or "").partition("\n\n")[0]
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(" ".join(text.split()))
        formatter.write_paragraph()
        formatter.write_text(f"The table [plugins.{name}] turns it on.")
    settings = config_class(plugin_class)
    fields = setting_fields(settings) if holds_settings(settings) else []
    meanings = _meanings(settings)
    rows = [(one.key, _told(one, meanings)) for one in fields]
    rows += _chosen_by_author(plugin_class)
    if rows:
        with formatter.section(f"Keys of [plugins.{name}]"):
            formatter.write_dl(rows)
    for one in found.get(name, ()):
        if one.distribution and (address := _documentation(one.distribution)):
            with formatter.section("Documentation"):
                formatter.write_text(address)


def _chosen_by_author(plugin_class: Any) -> list[tuple[str, str]]:
    """Tell of the keys of delivery whose defaults are those of the plugin's author."""
    # What holds where nobody has chosen is the default's own text.
    texts = _meanings(DeliveryConfig).items()
    meanings = {key: f"{text.partition('; None:')[0].rstrip('.')}." for key, text in texts}
    chosen = [
        attrs.evolve(one, default=getattr(plugin_class, f"default_{one.key}", None))
        for one in setting_fields(DeliveryConfig)
    ]
    return [(one.key, _told(one, meanings)) for one in chosen if one.default is not None]


def _meanings(settings: Any) -> Mapping[str, str]:
    """Read the section ``Attributes:`` of a class's docstring, and of those of its bases."""
    meanings: dict[str, str] = {}
    for one in reversed(inspect.getmro(settings)):
        meanings |= _attributes(inspect.cleandoc(one.__doc__ or ""))
    return meanings


def _attributes(text: str) -> dict[str, str]:
    lines = text.partition("Attributes:")[2].splitlines()
    meanings: dict[str, str] = {}
    key = ""
    for line in lines:
        if item := _ITEM.match(line):
            key = item[1]
            meanings[key] = item[2]
        elif key and line.startswith("        "):
            meanings[key] += f" {line.strip()}"
    return meanings


def _told(one: SettingField, meanings: Mapping[str, str]) -> str:
    meaning = meanings.get(one.name, "").replace("``", "'")
    return f"{textwrap.shorten(meaning, 200, placeholder=' ...')} [{_default(one)}]".strip()


def _default(one: SettingField) -> str:
    default = one.default
    if default is attrs.NOTHING:
        return "required"
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # its stub is a function
        if default.takes_self:  # type: ignore[attr-defined]  # likewise
            return "depends on others"
        default = default.factory()  # type: ignore[attr-defined]  # likewise
    elif inspect.isclass(default) or inspect.isfunction(default):
        default = default()
    return "none" if default is None else f"default {_as_toml(default)}"


def _as_toml(value: object) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_as_toml, value))}]"
    return f'"{value}"' if isinstance(value, str | PurePath) else repr(value)


def _documentation(distribution: str) -> str:
    try:
        urls = metadata(distribution).get_all("Project-URL") or []
    except (PackageNotFoundError, ValueError):
        return ""
    return next(
        (
            url
            for label, _, url in (one.partition(", ") for one in urls)
            if label == "Documentation"
        ),
        "",
    )
