"""What the labels of the open-ended kind show: agents and sessions, or less of them."""

import zlib
from typing import Literal

from attrs import frozen

from ..events.event import HypervisorEvent
from ..facts import payload_facts

LabelPreset = Literal["full", "production"]

UNKNOWN = payload_facts.UNKNOWN
"""Label of an agent or a session that the event does not name."""

OTHER = "other"
"""Label value of the series that takes what comes beyond the limit."""

BUCKETS = 64
"""Buckets over which the preset ``production`` spreads agents."""

MAX_SERIES = 2_000
"""Most series of one metric, as OpenTelemetry's default cardinality limit (Metrics SDK)."""

MAX_RING = 3
"""The sandbox: the outermost ring of the hypervisor."""

_MAX_WORD_CHARACTERS = 64


@frozen
class LabelRules:
    """How agents and sessions are shown, and how many of them.

    Attributes:
        preset: ``full`` shows both as they are. ``production`` shows no session, and of an
            agent the bucket that it falls into, the same one in every process.
        max_series: Most series of one metric, beside that of the overflow.
        max_ring: The outermost ring that there is; what is beyond counts as invalid.
    """

    preset: LabelPreset = "full"
    max_series: int = MAX_SERIES
    max_ring: int = MAX_RING

    @property
    def shows_sessions(self) -> bool:
        """Whether there is a label ``session_id``."""
        return self.preset == "full"

    def agent(self, did: str | None) -> str:
        """Give the label of an agent."""
        if not did:
            return UNKNOWN
        if self.preset == "full":
            return did
        return f"bucket-{zlib.crc32(did.encode('utf-8', 'surrogatepass')) % BUCKETS:02d}"


def word(event: HypervisorEvent, key: str) -> str:
    """Give what is under *key* if it is a single short word, as a reason or a model is; else
    ``other``.

    Free text would be a series for each sentence.
    """
    found = payload_facts.string(event, key)
    if not found:
        return OTHER if payload_facts.text(event, key) else UNKNOWN
    if len(found) <= _MAX_WORD_CHARACTERS and len(found.split()) == 1:
        return found
    return OTHER
