"""How events come to a plugin, and the plugin's own table as it was written."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

import attrs
from attrs import field, frozen
from attrs.validators import deep_iterable, ge, gt, in_, le, optional

from ..errors import ConfigProblem
from .paths import working_directory
from .structuring import Origin
from .toml_lines import KeyPath

_KIB, _MIB = 1024, 1024 * 1024
# Annotated for the validators' types.
_PAYLOAD: str | tuple[str, ...] | None = None
_INTERVAL: float | None = None
DEFAULT_INTERVAL_SECONDS = 0.2
"""How long an event waits at most where neither the configuration nor the plugin's author says."""
DAY_SECONDS = 86_400
"""The longest time that may be set where nothing asks for more."""


def check_texts(_: object, attribute: Any, texts: Iterable[object]) -> None:
    """Refuse what is no list of strings: of a string alone, each letter would count as one.

    Raises:
        ValueError: It is none.
    """
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{attribute.name}: expected a list of strings, got {texts!r}")


def _check_pattern(_: object, __: object, pattern: str) -> None:
    if not pattern.removeprefix("!"):
        msg = "expected a pattern such as 'ring.*' or '!vfs.*', got an empty one"
        raise ValueError(msg)


def _check_payload(_: object, __: object, payload: str | tuple[str, ...] | None) -> None:
    if isinstance(payload, str) and payload not in {"all", "none"}:
        msg = f"expected 'all', 'none' or a list of payload keys, got {payload!r}"
        raise ValueError(msg)


@frozen(kw_only=True)
class DeliveryConfig:
    """How events come to one plugin.

    Attributes:
        max_batch_events: Most events handed to one hook call.
        max_batch_bytes: Most memory that they hold, as estimated; a single event may hold more.
        interval_seconds: Longest time that an event waits before it is handed over; None: what
            the plugin's author has chosen, or ``DEFAULT_INTERVAL_SECONDS``.
        metrics_interval_seconds: Time between two pushes of all metrics.
        hook_timeout_seconds: Longest time for one call of a hook; after it the plugin is given
            up and a fresh instance takes over.
        events: Glob patterns over event types, ``!`` before those to leave out; see
            :func:`matches`. Empty: all.
        payload: What of payloads the plugin sees: ``"all"``, ``"none"``, or a list of keys;
            None: what the plugin's author has chosen.
        keep_incidents: Whether traces with an incident are kept whole beside the share of
            traces that the plugin's ``sample_ratio`` asks for.
        sampling_wait_seconds: For how long the spans of any other trace are held for that,
            after the last of them.
        max_held_spans: Most spans that are held.
    """

    max_batch_events: int = field(default=512, validator=[ge(1), le(65_536)])
    interval_seconds: float | None = field(
        default=_INTERVAL, validator=optional([gt(0), le(DAY_SECONDS)])
    )
    max_batch_bytes: int = field(default=_MIB, validator=[ge(_KIB), le(1024 * _MIB)])
    metrics_interval_seconds: float = field(default=10.0, validator=[gt(0), le(DAY_SECONDS)])
    hook_timeout_seconds: float = field(default=10.0, validator=[gt(0), le(DAY_SECONDS)])
    events: tuple[str, ...] = field(
        default=(), validator=[check_texts, deep_iterable(_check_pattern)]
    )
    payload: str | tuple[str, ...] | None = field(default=_PAYLOAD, validator=_check_payload)
    keep_incidents: bool = False
    sampling_wait_seconds: float = field(default=30.0, validator=[gt(0), le(DAY_SECONDS)])
    max_held_spans: int = field(default=20_000, validator=[ge(1), le(1_000_000)])


DELIVERY_KEYS = tuple(key.name for key in attrs.fields(DeliveryConfig))
"""What the table of a plugin that reads may have beside the keys of the plugin itself."""

Content = Literal["none", "names", "all"]


def _check_agents(_: object, __: object, agents: object) -> None:
    if not isinstance(agents, Mapping):
        raise ValueError(f"agents: expected a table of ids by name, got {agents!r}")
    for one in (*agents, *agents.values()):
        if not isinstance(one, str) or not one:
            raise ValueError(f"agents: expected names and ids, both strings, got {one!r}")


@frozen(kw_only=True)
class SourceConfig:
    """What the table of a source may have beside the keys of the plugin itself.

    Attributes:
        content: What of arguments, prompts and answers goes into payloads: ``"none"``,
            ``"names"`` of arguments without their values, or ``"all"``.
        agents: The ids of agents, by the names that the framework knows them by. Any other
            agent has its name as its id.
    """

    content: Content = field(default="names", validator=in_(("none", "names", "all")))
    agents: Mapping[str, str] = field(factory=dict, validator=_check_agents)


@frozen
class StoreConfig:
    """What the table of a store may have beside the keys of the plugin itself: nothing."""


@frozen
class PluginTable:
    """The table of one plugin as it was written, before the plugin's class is known.

    Attributes:
        name: The plugin's name, as in ``[plugins.NAME]``.
        values: The keys and values. Not shown by ``repr``: there may be secrets.
        origin: Where they come from; from Python, relative paths start at the working directory
            that the process has now.
    """

    name: str
    values: Mapping[str, Any] = field(factory=dict, repr=False)
    origin: Origin = field(factory=lambda: Origin(folder=working_directory()), repr=False)

    @property
    def path(self) -> KeyPath:
        """Where the table stands in the document."""
        return ("plugins", self.name)

    def problem(self, message: str, *keys: str | int) -> ConfigProblem:
        """Make a problem of the table, or of the key in it to which *keys* lead."""
        return self.origin.problem((*self.path, *keys), message)


def plugin_tables(
    tables: Mapping[str, PluginTable | Mapping[str, Any]],
) -> Mapping[str, PluginTable]:
    """Give the tables by name; plain dicts become tables that come from no file."""
    return {
        name: table if isinstance(table, PluginTable) else PluginTable(name, dict(table))
        for name, table in tables.items()
    }


def matches(patterns: tuple[str, ...], event_type_value: str) -> bool:
    """Whether the *patterns* let an event type through.

    A pattern is a glob (``*``, ``?``, ``[...]``); with ``!`` before it, it leaves out. No
    patterns: every type. Only ``!`` patterns: every type but those. Otherwise a type needs
    a match without ``!`` and none with it; the order is of no matter.
    """
    left_out = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    if any(fnmatchcase(event_type_value, pattern) for pattern in left_out):
        return False
    let_in = [pattern for pattern in patterns if not pattern.startswith("!")]
    return not let_in or any(fnmatchcase(event_type_value, pattern) for pattern in let_in)
