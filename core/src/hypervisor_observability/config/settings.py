"""What can be set: classes, and how a file becomes one of them."""

import os
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs
from attrs import field, frozen
from attrs.converters import optional as optional_converter
from attrs.validators import deep_iterable, ge, gt, in_, instance_of, le, min_len, optional

from ..errors import ConfigError, ConfigProblem
from .class_structuring import NONE_WRITTEN_AS
from .file import UnusableFile, read_document
from .interpolation import interpolate, interpolate_tree
from .structuring import Origin, structure
from .toml_lines import KeyPath

T = TypeVar("T")

_KIB, _MIB = 1024, 1024 * 1024
_DAY_SECONDS = 86_400
_MAX_EVENTS: int | None = 100_000  # annotated, like the next, for the validator's type
_PAYLOAD: str | tuple[str, ...] | None = None
_UNBOUNDED: float | None = None


@frozen(kw_only=True)
class BusConfig:
    """How much the event log keeps in memory.

    Attributes:
        max_events: Most events kept, the newest; None for no bound, ``"unbounded"`` in TOML.
        max_bytes: Most bytes that they take, as estimated.
    """

    max_events: int | None = field(
        default=_MAX_EVENTS, validator=optional(ge(1)), metadata={NONE_WRITTEN_AS: "unbounded"}
    )
    max_bytes: int = field(default=64 * _MIB, validator=ge(64 * _KIB))


def _check_pattern(_: object, __: object, pattern: str) -> None:
    if not pattern.removeprefix("!"):
        msg = "expected a pattern such as 'ring.*' or '!vfs.*', got an empty one"
        raise ValueError(msg)


def _check_expression(_: object, __: object, expression: str) -> None:
    try:
        re.compile(expression)
    except re.error as error:
        msg = f"{expression!r} is no regular expression: {error}"
        raise ValueError(msg) from None


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
        interval_seconds: Longest time that an event waits before it is handed over.
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
    interval_seconds: float = field(default=0.2, validator=[gt(0), le(_DAY_SECONDS)])
    max_batch_bytes: int = field(default=_MIB, validator=[ge(_KIB), le(1024 * _MIB)])
    metrics_interval_seconds: float = field(default=10.0, validator=[gt(0), le(_DAY_SECONDS)])
    hook_timeout_seconds: float = field(default=10.0, validator=[gt(0), le(_DAY_SECONDS)])
    events: tuple[str, ...] = field(default=(), validator=deep_iterable(_check_pattern))
    payload: str | tuple[str, ...] | None = field(default=_PAYLOAD, validator=_check_payload)
    keep_incidents: bool = False
    sampling_wait_seconds: float = field(default=30.0, validator=[gt(0), le(_DAY_SECONDS)])
    max_held_spans: int = field(default=20_000, validator=[ge(1), le(1_000_000)])


_DELIVERY_KEYS = tuple(key.name for key in attrs.fields(DeliveryConfig))


@frozen
class PluginTable:
    """The table of one plugin as it was written, before the plugin's class is known.

    Attributes:
        name: The plugin's name, as in ``[plugins.NAME]``.
        values: The keys and values. Not shown by ``repr``: there may be secrets.
        origin: Where they come from.
    """

    name: str
    values: Mapping[str, Any] = field(factory=dict, repr=False)
    origin: Origin = field(factory=Origin, repr=False)

    @property
    def path(self) -> KeyPath:
        """Where the table stands in the document."""
        return ("plugins", self.name)

    def problem(self, message: str, *keys: str | int) -> ConfigProblem:
        """Make a problem of the table, or of the key in it to which *keys* lead."""
        return self.origin.problem((*self.path, *keys), message)


def _plugin_tables(
    tables: Mapping[str, PluginTable | Mapping[str, Any]],
) -> Mapping[str, PluginTable]:
    return {
        name: table if isinstance(table, PluginTable) else PluginTable(name, dict(table))
        for name, table in tables.items()
    }


@frozen(kw_only=True)
class RedactionConfig:
    """What is taken out of payloads before anything leaves the process.

    Attributes:
        enabled: Whether anything is.
        keys: Names of keys whose values are, beside the shipped ones.
        patterns: Regular expressions for what is taken out of strings, beside the shipped ones.
    """

    enabled: bool = True
    keys: tuple[str, ...] = ()
    patterns: tuple[str, ...] = field(default=(), validator=deep_iterable(_check_expression))


@frozen(kw_only=True)
class MetricsConfig:
    """What the metrics show.

    Attributes:
        labels: ``"seed"`` has labels for every agent and session; ``"production"`` has none for
            sessions, and of an agent the bucket that it falls into.
        max_series: Most series of one metric; what comes beyond is counted in one more.
    """

    labels: Literal["seed", "production"] = field(
        default="seed", validator=in_(("seed", "production"))
    )
    max_series: int = field(default=2_000, validator=[ge(100), le(100_000)])


_BAGGAGE = ("session.id", "agent.did", "saga.id")


@frozen(kw_only=True)
class PropagationConfig:
    """How causal ids are drawn, and what becomes of those that arrive.

    Attributes:
        accept: What ``Observability.propagator`` does with a caller's id: ``"link"`` for peers
            that are not yours, ``"continue"`` for those that may write into your traces,
            ``"restart"`` for those that you want to know nothing of.
        baggage: What may travel beside an id: ``session.id``, ``agent.did`` (as a digest),
            ``saga.id``.
        id_width: ``"short"`` draws ids of 12 and 8 digits, ``"w3c"`` of 32 and 16.
        opentelemetry: Whether OpenTelemetry's active span is the parent of what the recorder
            begins below it, and the recorder's the active one within.
    """

    accept: Literal["link", "continue", "restart"] = field(
        default="link", validator=in_(("link", "continue", "restart"))
    )
    baggage: tuple[str, ...] = field(default=(), validator=deep_iterable(in_(_BAGGAGE)))
    id_width: Literal["short", "w3c"] = field(default="short", validator=in_(("short", "w3c")))
    opentelemetry: bool = False


@frozen(kw_only=True)
class StateConfig:
    """Where a running process keeps what others may read.

    Attributes:
        directory: For ``status.json`` and dead letters, made where it is missing; None: neither
            is written.
    """

    directory: Path | None = None


@frozen(kw_only=True)
class JournalConfig:
    """Where and how events are journalled.

    Attributes:
        directory: Of the journal, made where it is missing. Processes may share it.
        segment_bytes: Bytes of a segment, allocated in advance.
        sync_seconds: Longest time until the disk has what was emitted.
        max_bytes: Most bytes of the whole directory; the oldest segments go first.
        max_age_seconds: Longest time that a segment is kept; None for no bound,
            ``"unbounded"`` in TOML.
        anchor_file: Where anchors are kept, best on another disk; None: they are only sent
            through the plugins, as events.
        anchor_key_file: Keys for their HMAC, made with ``hvobs journal-key``; None: no HMAC.
        checkpoint_events: Events after which an anchor is made.
        checkpoint_seconds: Time after which one is made, if there was an event.
    """

    directory: Path = field(converter=Path)
    segment_bytes: int = field(default=16 * _MIB, validator=[ge(64 * _KIB), le(64 * _MIB)])
    sync_seconds: float = field(default=0.2, validator=[gt(0), le(60)])
    max_bytes: int = field(default=1024 * _MIB, validator=ge(_MIB))
    max_age_seconds: float | None = field(
        default=_UNBOUNDED, validator=optional(gt(0)), metadata={NONE_WRITTEN_AS: "unbounded"}
    )
    anchor_file: Path | None = field(default=None, converter=optional_converter(Path))
    anchor_key_file: Path | None = field(default=None, converter=optional_converter(Path))
    checkpoint_events: int = field(default=1_000, validator=ge(1))
    checkpoint_seconds: float = field(default=60.0, validator=[gt(0), le(_DAY_SECONDS)])

    def __attrs_post_init__(self) -> None:
        if self.max_bytes < 2 * self.segment_bytes:
            msg = f"max_bytes must hold two segments: at least {2 * self.segment_bytes}"
            raise ValueError(msg)


@frozen(kw_only=True)
class Config:
    """Everything that can be set, except what the plugins' own tables hold.

    Attributes:
        service: Name of the observed system in every backend.
        bus: Bounds of the event log.
        delivery: How events come to the plugins that say nothing else.
        plugins: The plugins that are on, by name; plain dicts will do.
        redaction: What is taken out of payloads before anything leaves the process.
        state: Where a running process keeps what others may read.
        journal: Where events are journalled; None: nowhere.
        metrics: What the metrics show.
        propagation: How causal ids are drawn, and what becomes of those that arrive.
        stop_timeout_seconds: Time that all plugins together get to finish when stopped.
        handle_sigterm: Whether SIGTERM ends the process as ``sys.exit`` does, so that what waits
            is delivered; where the application has a handler of its own, that one is left alone.
    """

    service: str = field(default="agents", validator=[instance_of(str), min_len(1)])
    bus: BusConfig = field(factory=BusConfig)
    delivery: DeliveryConfig = field(factory=DeliveryConfig)
    plugins: Mapping[str, PluginTable] = field(factory=dict, converter=_plugin_tables)
    redaction: RedactionConfig = field(factory=RedactionConfig)
    state: StateConfig = field(factory=StateConfig)
    journal: JournalConfig | None = None
    metrics: MetricsConfig = field(factory=MetricsConfig)
    propagation: PropagationConfig = field(factory=PropagationConfig)
    stop_timeout_seconds: float = field(default=2.0, validator=[ge(0), le(_DAY_SECONDS)])
    handle_sigterm: bool = False


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


def load_config(
    path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None
) -> Config:
    """Read the configuration file at *path*, without the plugins' own keys.

    Args:
        path: A TOML file.
        environ: Variables for ``${...}``; the process's own unless given.

    Raises:
        ConfigError: With everything that is wrong.
    """
    config, problems = read_config(path, environ=environ)
    if config is None or problems:
        raise ConfigError(problems)
    return config


def read_config(
    path: str | os.PathLike[str],
    *,
    environ: Mapping[str, str] | None = None,
    check_key_file: Callable[[Path], object] | None = None,
) -> tuple[Config | None, list[ConfigProblem]]:
    """Read the file at *path* as :func:`load_config` does, but return what is wrong.

    Args:
        path: A TOML file.
        environ: Variables for ``${...}``; the process's own unless given.
        check_key_file: Raises ``ValueError`` with what is wrong with the file of the journal's
            keys. Only who journals needs that file; for others None.

    Returns:
        The configuration and its problems, in the order of the file. Where there are
        problems, it has defaults in place of what is wrong, so that the plugins' tables can be
        checked too: do not run it. It is None if the file cannot be read as TOML.
    """
    path = Path(path)
    try:
        document = read_document(path)
    except UnusableFile as error:
        return None, [ConfigProblem(str(path), error.line, "", str(error))]
    folder = Path(os.path.abspath(path.parent))  # noqa: PTH100 - resolve() would follow links
    origin = Origin(str(path), folder, document.lines)
    fill = partial(interpolate, environ=os.environ if environ is None else environ, folder=folder)
    findings: list[tuple[KeyPath, str]] = []
    raw = interpolate_tree(document.values, fill, findings)
    if isinstance(tables := raw.get("plugins"), dict):
        raw["plugins"] = {
            name: PluginTable(name, table, origin) if isinstance(table, dict) else table
            for name, table in tables.items()
        }
    config, problems = _structure_core(raw, origin)
    journal = None if config is None else config.journal
    if check_key_file and journal is not None and journal.anchor_key_file is not None:
        try:
            check_key_file(journal.anchor_key_file)
        except ValueError as error:
            problems.append(origin.problem(("journal", "anchor_key_file"), str(error)))
    problems += [origin.problem(where, message) for where, message in findings]
    return config, sorted(problems, key=lambda problem: problem.line or 0)


def _structure_core(
    raw: dict[str, Any], origin: Origin
) -> tuple[Config | None, list[ConfigProblem]]:
    config, problems = structure(raw, Config, origin)
    if config is not None:
        return config, problems
    # Once more with only those top-level keys that are right by themselves.
    sound: dict[str, Any] = {}
    for key, value in raw.items():
        if key == "plugins" and isinstance(value, dict):
            sound[key] = {n: table for n, table in value.items() if isinstance(table, PluginTable)}
        elif structure({key: value}, Config, origin)[0] is not None:
            sound[key] = value
    return structure(sound, Config, origin)[0], problems


def structure_plugin_table(
    table: PluginTable, config_class: type[T], delivery: DeliveryConfig
) -> tuple[T | None, DeliveryConfig, list[ConfigProblem]]:
    """Make a plugin's configuration of its *table*.

    Args:
        table: As found in :attr:`Config.plugins`.
        config_class: The plugin's ``Config``, an attrs class.
        delivery: What holds where the table has no delivery keys.

    Returns:
        The plugin's configuration, how events come to it, and what is wrong. The first is
        None if something is wrong in it, be it told here or, for a ``${...}`` that could
        not be filled, by :func:`read_config`; the second is then *delivery* where needed.
    """
    own = {key: value for key, value in table.values.items() if key not in _DELIVERY_KEYS}
    common = {key: value for key, value in table.values.items() if key in _DELIVERY_KEYS}
    config, problems = structure(
        own, config_class, table.origin, table.path, also_known=_DELIVERY_KEYS
    )
    inherited = {key: getattr(delivery, key) for key in _DELIVERY_KEYS}
    changed, delivery_problems = structure(
        {**inherited, **common}, DeliveryConfig, table.origin, table.path
    )
    problems += delivery_problems
    for key in _DELIVERY_KEYS:
        if attrs.has(config_class) and hasattr(attrs.fields(config_class), key):
            message = "the plugin's Config has a field of this name, which delivery takes"
            problems.append(table.problem(message, key))
    return config, changed or delivery, problems
