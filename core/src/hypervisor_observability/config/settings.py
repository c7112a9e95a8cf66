"""What can be set: a class for each table of the file, and one for the whole."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from attrs import field, frozen
from attrs.validators import deep_iterable, ge, in_, instance_of, le, min_len, optional

from ..values.default_bounds import DEFAULT_MAX_BYTES, DEFAULT_MAX_EVENTS
from .class_structuring import NONE_WRITTEN_AS
from .extras import is_there, needs
from .paths import check_plugins_directory, optional_absolute_path
from .plugin_tables import DAY_SECONDS, DeliveryConfig, PluginTable, check_texts, plugin_tables

_KIB, _MIB = 1024, 1024 * 1024
# Annotated for the validator's type.
_MAX_EVENTS: int | None = DEFAULT_MAX_EVENTS
_MAX_BYTES: int | None = DEFAULT_MAX_BYTES
_NO_PATH: Path | None = None


@frozen(kw_only=True)
class BusConfig:
    """How much the event log keeps in memory.

    Attributes:
        max_events: Most events kept, the newest; None for no bound, ``"unbounded"`` in TOML.
        max_bytes: Most memory that they take, in bytes, measured on a sample of them; None for
            no bound, ``"unbounded"`` in TOML.

    Both defaults together bound the log. A bound that is given alone holds alone.
    """

    max_events: int | None = field(
        default=_MAX_EVENTS, validator=optional(ge(1)), metadata={NONE_WRITTEN_AS: "unbounded"}
    )
    max_bytes: int | None = field(
        default=_MAX_BYTES,
        validator=optional(ge(64 * _KIB)),
        metadata={NONE_WRITTEN_AS: "unbounded"},
    )


def _check_name(_: object, __: object, name: str) -> None:
    if not any(map(str.isalnum, name)):
        raise ValueError(f"keys: {name!r} has no letter and no digit, and would match no key")


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern for secrets.

    Raises:
        ValueError: It is not a regular expression; the text says why.
    """
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None


def _check_pattern(_: object, __: object, pattern: str) -> None:
    compiled(pattern)


@frozen(kw_only=True)
class RedactionConfig:
    """What is taken out of payloads before anything leaves the process.

    Attributes:
        enabled: Whether anything is taken out.
        keys: Names of keys whose values are taken out, besides the shipped ones.
        patterns: Regular expressions for what is taken out of strings, beside the shipped ones.
    """

    enabled: bool = True
    keys: tuple[str, ...] = field(default=(), validator=[check_texts, deep_iterable(_check_name)])
    patterns: tuple[str, ...] = field(
        default=(), validator=[check_texts, deep_iterable(_check_pattern)]
    )


@frozen(kw_only=True)
class MetricsConfig:
    """What the metrics show.

    Attributes:
        labels: ``"full"`` has labels for every agent and session; ``"production"`` has none for
            sessions, and of an agent the bucket that it falls into.
        max_series: Most series of one metric; what comes beyond is counted in one more.
        max_ring: The outermost ring that there is; a ring beyond counts as invalid.
    """

    labels: Literal["full", "production"] = field(
        default="full", validator=in_(("full", "production"))
    )
    max_series: int = field(default=2_000, validator=[ge(100), le(100_000)])
    max_ring: int = field(default=3, validator=[ge(0), le(255)])


def _check_plugins_dir(_: object, __: object, path: Path | None) -> None:
    if path is not None:
        check_plugins_directory(path)


def _check_prices(_: object, __: object, wanted: bool) -> None:  # noqa: FBT001 - a validator
    # It is looked for and not imported, which takes longer than all the rest.
    if wanted and not is_there("genai_prices"):
        raise ValueError("needs the package genai-prices, which the extra 'prices' brings")


@frozen(kw_only=True)
class UsageConfig:
    """What is made of reports of usage.

    Attributes:
        estimate_cost: Whether the cost of tokens is estimated, by the prices of the package
            genai-prices, where a report tells none.
    """

    estimate_cost: bool = field(default=False, validator=_check_prices)


_BAGGAGE = ("session.id", "agent.did", "saga.id")


@frozen(kw_only=True)
class PropagationConfig:
    """How causal ids are drawn, and what becomes of those that arrive.

    Attributes:
        accept: What ``Observability.propagator`` does with a caller's id: ``"link"`` for peers
            that are not yours, ``"continue"`` for those that may write into your traces,
            ``"restart"`` for those whose ids you want to ignore.
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
    opentelemetry: bool = field(
        default=False, metadata=needs("opentelemetry.trace", extra="opentelemetry-api")
    )


@frozen(kw_only=True)
class StateConfig:
    """Where a running process keeps what others may read.

    Attributes:
        directory: For the status of each process and for dead letters, made where it is missing;
            None: neither is written.
    """

    directory: Path | None = field(default=_NO_PATH, converter=optional_absolute_path)


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
        metrics: What the metrics show.
        propagation: How causal ids are drawn, and what becomes of those that arrive.
        usage: What is made of reports of usage.
        stop_timeout_seconds: Time that all plugins together get to finish when stopped.
        handle_sigterm: Whether SIGTERM ends the process as ``sys.exit`` does, so that what waits
            is delivered; where the application has a handler of its own, that one is left alone.
        strict: Whether what is recorded is checked at once: payloads that are not as the table of
            events has them, rings beyond ``metrics.max_ring``, scopes that nobody enters. Each is a
            ``StrictWarning`` at its place in the application's code.
        plugins_dir: Where plugins are that no distribution provides: a file ``NAME.py`` for each.
            The variable ``HYPERVISOR_OBSERVABILITY_PLUGINS_DIR`` goes before it.
    """

    service: str = field(default="agents", validator=[instance_of(str), min_len(1)])
    bus: BusConfig = field(factory=BusConfig)
    delivery: DeliveryConfig = field(factory=DeliveryConfig)
    plugins: Mapping[str, PluginTable] = field(factory=dict, converter=plugin_tables)
    redaction: RedactionConfig = field(factory=RedactionConfig)
    state: StateConfig = field(factory=StateConfig)
    metrics: MetricsConfig = field(factory=MetricsConfig)
    propagation: PropagationConfig = field(factory=PropagationConfig)
    usage: UsageConfig = field(factory=UsageConfig)
    stop_timeout_seconds: float = field(default=2.0, validator=[ge(0), le(DAY_SECONDS)])
    handle_sigterm: bool = False
    strict: bool = False
    plugins_dir: Path | None = field(
        default=_NO_PATH, converter=optional_absolute_path, validator=_check_plugins_dir
    )
