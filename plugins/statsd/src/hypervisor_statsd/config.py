"""The table ``[plugins.statsd]``."""

import os
from enum import Enum
from pathlib import Path

from attrs import Attribute, field, frozen
from attrs.validators import and_, ge, gt, le, matches_re, max_len, min_len, optional

from hypervisor_observability.config import optional_absolute_path

DEFAULT_PORT = 8125
"""The port of StatsD (its exampleConfig.js) and of DogStatsD."""

MAX_DATAGRAM_BYTES = 1_432
"""What StatsD's documentation (docs/metric_types.md, Multi-Metric Packets) gives for Ethernet."""

MAX_LOCAL_BYTES = 8_192
"""What DogStatsD's clients pack for a Unix socket, where no network limits a datagram."""

MAX_SOCKET_PATH_BYTES = 103
"""``sun_path`` without its end: 104 bytes on macOS (sys/un.h), 108 on Linux (unix(7))."""

_NO_SOCKET: Path | None = None  # annotated, like the next, for the validator's type
_BY_TRANSPORT: int | None = None


class Via(Enum):
    """How lines get to the server."""

    UDP = "udp"
    TCP = "tcp"
    UNIX = "unix"
    UNIXGRAM = "unixgram"

    @property
    def is_local(self) -> bool:
        """Whether it is a socket in the file system."""
        return self in {Via.UNIX, Via.UNIXGRAM}

    @property
    def is_stream(self) -> bool:
        """Whether it connects, and keeps order."""
        return self in {Via.TCP, Via.UNIX}


class TagDialect(Enum):
    """How labels are told to the server."""

    DOGSTATSD = "dogstatsd"
    INFLUX = "influx"
    NONE = "none"


class DurationType(Enum):
    """As what durations are sent."""

    TIMER = "timer"
    HISTOGRAM = "histogram"
    DISTRIBUTION = "distribution"


@frozen
class StatsDConfig:
    """Where the metrics are sent, and how they are written.

    Attributes:
        host: Name or address of the server, for UDP and TCP.
        port: Its port.
        prefix: What stands in front of every name, followed by a dot; empty for nothing.
        tags: ``dogstatsd`` writes labels as tags behind the value, ``influx`` behind the
            name, ``none`` (etsy) folds their values into the dotted name.
        max_datagram_bytes: Most bytes that are packed into a datagram, or handed to a stream
            at once; None: 1,432 for UDP, 8,192 otherwise.
        via: The transport.
        socket: Path of the server's socket, for ``unix`` and ``unixgram``.
        durations: As what durations are sent. Beside ``timer``, only DogStatsD has others.
        sample_rate: The share of durations that is sent, the rate told with each.
        lookup_seconds: Time after which a host's name is looked up again.
    """

    host: str = field(default="127.0.0.1", validator=min_len(1))
    port: int = field(default=DEFAULT_PORT, validator=and_(ge(1), le(65_535)))
    prefix: str = field(
        default="",
        validator=and_(matches_re(r"([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)?"), max_len(100)),
    )
    tags: TagDialect = TagDialect.DOGSTATSD
    # The largest payload of UDP over IPv4 is 65,507 bytes (RFC 768, RFC 791).
    max_datagram_bytes: int | None = field(
        default=_BY_TRANSPORT, validator=optional(and_(ge(64), le(65_507)))
    )
    via: Via = field(default=Via.UDP, kw_only=True)
    socket: Path | None = field(default=_NO_SOCKET, converter=optional_absolute_path, kw_only=True)
    durations: DurationType = field(default=DurationType.TIMER, kw_only=True)
    sample_rate: float = field(default=1.0, validator=[ge(0.001), le(1)], kw_only=True)
    lookup_seconds: float = field(default=60.0, validator=[gt(0), le(86_400)], kw_only=True)

    @via.validator
    def _check_via(self, _: "Attribute[Via]", via: Via) -> None:
        if via.is_local and self.socket is None:
            msg = f"'{via.value}' needs the path of the server's socket: set socket"
            raise ValueError(msg)

    @socket.validator
    def _check_socket(self, _: "Attribute[Path | None]", path: Path | None) -> None:
        if path is None:
            return
        if not self.via.is_local:
            msg = "a socket is used by via = 'unix' and 'unixgram' alone"
            raise ValueError(msg)
        if "\0" in str(path) or len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
            msg = f"expected a path of at most {MAX_SOCKET_PATH_BYTES} bytes, none of them NUL"
            raise ValueError(msg)

    @durations.validator
    def _check_durations(self, _: "Attribute[DurationType]", durations: DurationType) -> None:
        if durations is not DurationType.TIMER and self.tags is not TagDialect.DOGSTATSD:
            msg = f"only DogStatsD knows a {durations.value}: set tags = 'dogstatsd', or 'timer'"
            raise ValueError(msg)

    @property
    def packed_bytes(self) -> int:
        """Most bytes that are packed into one datagram."""
        if self.max_datagram_bytes is not None:
            return self.max_datagram_bytes
        return MAX_DATAGRAM_BYTES if self.via is Via.UDP else MAX_LOCAL_BYTES

    @property
    def server(self) -> str:
        """Where the lines go, for people."""
        if self.via.is_local:
            return str(self.socket)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
