"""What the labels of the open-ended kind show: agents and sessions, or less of them."""

import zlib
from typing import Literal

from attrs import frozen

LabelPreset = Literal["seed", "production"]

UNKNOWN = "unknown"
"""Label of an agent or a session that the event does not name."""

OTHER = "other"
"""Label value of the series that takes what comes beyond the limit."""

BUCKETS = 64
"""Buckets over which the preset ``production`` spreads agents."""

MAX_SERIES = 2_000
"""Most series of one metric, as OpenTelemetry's default cardinality limit (Metrics SDK)."""

_MAX_WORD_CHARACTERS = 64


@frozen
class LabelRules:
    """How agents and sessions are shown, and how many of them.

    Attributes:
        preset: ``seed`` shows both as they are. ``production`` shows no session, and of an
            agent the bucket that it falls into, the same one in every process.
        max_series: Most series of one metric, beside that of the overflow.
    """

    preset: LabelPreset = "seed"
    max_series: int = MAX_SERIES

    @property
    def shows_sessions(self) -> bool:
        """Whether there is a label ``session_id``."""
        return self.preset == "seed"

    def agent(self, did: str | None) -> str:
        """Give the label of an agent."""
        if not did:
            return UNKNOWN
        if self.preset == "seed":
            return did
        return f"bucket-{zlib.crc32(did.encode('utf-8', 'surrogatepass')) % BUCKETS:02d}"


def one_of(value: object, known: tuple[str, ...]) -> str:
    """Give *value* if it is one of the *known*, else ``unknown``, which they end in."""
    return value if isinstance(value, str) and value in known else UNKNOWN


def word(value: object) -> str:
    """Give *value* if it is a single short word, as a reason or a model is; else ``other``.

    Free text would be a series for each sentence.
    """
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, str) and len(value) <= _MAX_WORD_CHARACTERS and len(value.split()) == 1:
        return value
    return OTHER
