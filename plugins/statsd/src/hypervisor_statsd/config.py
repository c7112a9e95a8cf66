"""The table ``[plugins.statsd]``."""

from enum import Enum

from attrs import field, frozen
from attrs.validators import and_, ge, le, matches_re, max_len, min_len

DEFAULT_PORT = 8125
"""The port of StatsD (its exampleConfig.js) and of DogStatsD."""

MAX_DATAGRAM_BYTES = 1_432
"""What StatsD's documentation (docs/metric_types.md, Multi-Metric Packets) gives for Ethernet."""


class TagDialect(Enum):
    """How labels are told to the server."""

    DOGSTATSD = "dogstatsd"
    NONE = "none"


@frozen
class StatsDConfig:
    """Where the metrics are sent, and how they are written.

    Attributes:
        host: Name or address of the server.
        port: UDP port.
        prefix: What stands in front of every name, followed by a dot; empty for nothing.
        tags: ``dogstatsd`` writes labels as tags behind the value, ``none`` folds their
            values into the dotted name.
        max_datagram_bytes: Most bytes that are packed into a datagram.
    """

    host: str = field(default="127.0.0.1", validator=min_len(1))
    port: int = field(default=DEFAULT_PORT, validator=and_(ge(1), le(65_535)))
    prefix: str = field(
        default="",
        validator=and_(matches_re(r"([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)?"), max_len(100)),
    )
    tags: TagDialect = TagDialect.DOGSTATSD
    # The largest payload of UDP over IPv4 is 65,507 bytes (RFC 768, RFC 791).
    max_datagram_bytes: int = field(default=MAX_DATAGRAM_BYTES, validator=and_(ge(64), le(65_507)))
