"""The settings of a stream, in JetStream's names and in those that people read.

Keys and units are those of JetStream's API: ``server/stream.go`` of NATS, ``StreamConfig``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.names import FORMAT, FORMAT_KEY, PARTITIONS_KEY
from hypervisor_nats.upkeep.amounts import told_bytes, told_seconds

_SECOND = 1_000_000_000
DEFAULT_AGE_SECONDS = 30 * 86_400
DEFAULT_WINDOW_SECONDS = 120
_NAMES = {
    "num_replicas": "replicas",
    "max_age": "max age",
    "max_bytes": "max bytes",
    "max_msgs": "max messages",
    "duplicate_window": "duplicate window",
    "discard": "discard",
    "allow_direct": "direct reads",
}


@frozen(kw_only=True)
class Limits:
    """The settings asked for; None: unchanged, or the default of a new stream.

    Attributes:
        replicas: Servers that hold the stream.
        max_age_seconds: Longest time that a message is kept; 0 for no bound.
        max_bytes: Most bytes; 0 for no bound.
        max_messages: Most messages; 0 for no bound.
        duplicate_window_seconds: How long the server refuses repeated messages.
        discard: What happens to a full stream: ``old`` messages go, or ``new`` ones are refused.
    """

    replicas: int | None = None
    max_age_seconds: float | None = None
    max_bytes: int | None = None
    max_messages: int | None = None
    duplicate_window_seconds: float | None = None
    discard: str | None = None

    def to_api(self) -> dict[str, Any]:
        """Return the settings asked for, in JetStream's names."""
        asked = {
            "num_replicas": self.replicas,
            "max_age": _nanoseconds(self.max_age_seconds),
            "max_bytes": _count(self.max_bytes),
            "max_msgs": _count(self.max_messages),
            "duplicate_window": _nanoseconds(self.duplicate_window_seconds),
            "discard": self.discard,
        }
        return {key: value for key, value in asked.items() if value is not None}


@frozen
class Change:
    """A setting to change.

    Attributes:
        key: Of JetStream.
        was: Its value.
        will: What it is to be.
    """

    key: str
    was: Any
    will: Any

    @property
    def name(self) -> str:
        """What people call it."""
        return _NAMES[self.key]


@frozen
class Differences:
    """How a stream differs from the settings asked for.

    Attributes:
        changes: What can be changed.
        obstacles: What cannot, and what to do instead.
    """

    changes: Sequence[Change] = field(factory=tuple)
    obstacles: Sequence[str] = field(factory=tuple)


def new_stream(
    config: NatsConfig, partitions: int, limits: Limits, replicas: int
) -> dict[str, Any]:
    """Return the configuration of a new stream.

    Args:
        config: Names it.
        partitions: Into how many parts the runs are spread, for good.
        limits: What was asked for.
        replicas: How many, unless *limits* has another number.
    """
    return {
        "name": config.stream,
        "description": "The events of a fleet: hypervisor-observability",
        "subjects": [f"{config.subject}.>"],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "max_age": DEFAULT_AGE_SECONDS * _SECOND,
        "max_bytes": -1,
        "max_msgs": -1,
        "duplicate_window": DEFAULT_WINDOW_SECONDS * _SECOND,
        "discard": "old",
        "allow_direct": True,
        "metadata": {PARTITIONS_KEY: str(partitions), FORMAT_KEY: FORMAT},
        **limits.to_api(),
    }


def differences(
    config: NatsConfig, found: Mapping[str, Any], partitions: int | None, limits: Limits
) -> Differences:
    """Compare an existing stream with the settings asked for.

    Args:
        config: How this process would use it.
        found: Its configuration, as the server reports it.
        partitions: As asked for; None: as many as it has.
        limits: What was asked for.
    """
    changes = _changes(found, {"allow_direct": True, **limits.to_api()})
    return Differences(changes, [*obstacles(config, found), *_of_partitions(found, partitions)])


def bucket_changes(found: Mapping[str, Any], replicas: int) -> list[Change]:
    """Return what to change in the bucket, so that it suits the stream.

    Args:
        found: Settings of the stream behind the bucket.
        replicas: Those of the stream of events.
    """
    return _changes(found, {"num_replicas": replicas, "allow_direct": True})


def _changes(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Change]:
    return [
        Change(key, found.get(key), value)
        for key, value in wanted.items()
        if _plain(found.get(key)) != _plain(value)
    ]


def obstacles(config: NatsConfig, found: Mapping[str, Any]) -> list[str]:
    """Say why a stream cannot be that of a fleet; empty if it can."""
    name, kept = config.stream, found.get("metadata") or {}
    if PARTITIONS_KEY not in kept:
        text = f"stream {name} is not a fleet's: its metadata has no {PARTITIONS_KEY}"
        return [f"{text}. Choose another name for stream"]
    told = []
    if kept.get(FORMAT_KEY) != FORMAT:
        told.append(
            f"stream {name} has messages of format {kept.get(FORMAT_KEY)}, this release reads"
            f" {FORMAT}: use the release that made it, or a later one"
        )
    subject = f"{config.subject}.>"
    if list(found.get("subjects") or ()) != [subject]:
        subjects = ", ".join(found.get("subjects") or ()) or "no subject"
        told.append(
            f"stream {name} takes {subjects}, not {subject}: set subject to match the stream"
        )
    if found.get("retention", "limits") != "limits":
        told.append(
            f"stream {name} has retention {found['retention']}, which deletes what one reader"
            " has read: make another stream, with retention limits"
        )
    if found.get("storage", "file") != "file":
        told.append(f"stream {name} is in memory, and is lost with its server: make another stream")
    return told


def partitions_of(found: Mapping[str, Any]) -> int:
    """Return how many partitions a stream of ours has; 0 if its metadata does not say."""
    text = (found.get("metadata") or {}).get(PARTITIONS_KEY, "")
    return int(text) if text.isascii() and text.isdecimal() else 0


def _of_partitions(found: Mapping[str, Any], partitions: int | None) -> list[str]:
    has = partitions_of(found)
    if partitions in (None, has) or not has:
        return []
    text = (
        f"the stream has {has} partitions, which cannot become {partitions}: each run is in one"
        " of them for good, and readers keep a position in each. Make a stream with another name"
        " and more partitions, and let agents read the old one to its end"
    )
    return [text]


def told(key: str, value: Any) -> str:
    """Say a value as people read it."""
    if key in ("max_age", "duplicate_window"):
        return told_seconds(value / _SECOND) if value else "no bound"
    if key in ("max_bytes", "max_msgs"):
        if value is None or value <= 0:
            return "no bound"
        return told_bytes(value) if key == "max_bytes" else f"{value:,}"
    if key == "allow_direct":
        return "yes" if value else "no"
    return str(value)


def _plain(value: Any) -> Any:
    """Return one value for all that mean "no bound"."""
    return 0 if value in (None, -1, False) else value


def _count(asked: int | None) -> int | None:
    return -1 if asked == 0 else asked


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * _SECOND)
