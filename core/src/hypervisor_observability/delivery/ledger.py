"""Events that are on their way together, and where each of them is in the accounts."""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from attrs import define, field

from ..events.event import HypervisorEvent
from .counts import STOPPED


class Place(Enum):
    """Where an event is that was offered, unless it was dropped."""

    HELD = "held"
    UNPUSHED = "unpushed"
    DELIVERED = "delivered"
    REJECTED = "rejected"


class Ledger(Protocol):
    """Where a reader's events are counted: its ``Account``."""

    def move(self, events: int, place: Place, portion: "Portion") -> None:
        """Move *events* of *portion* to *place*."""

    def drop(self, events: int, reason: str, portion: "Portion") -> None:
        """Drop *events* of *portion*."""

    def left_as(self, reason: str) -> str:
        """Give the reason for which events count as dropped."""


@define(eq=False)
class Portion:
    """Events that were read together and are offered. One at a time is open.

    Attributes:
        events: All of them.
        left: How many are offered still.
    """

    events: Sequence[HypervisorEvent]
    _ledger: Ledger
    left: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.left = len(self.events)

    def move(self, events: int, place: Place) -> None:
        """Put *events* where they are now."""
        self._ledger.move(events, place, self)

    def take_back(self, events: int) -> None:
        """Offer *events* that were held."""
        self._ledger.move(-events, Place.HELD, self)

    def drop(self, events: int, reason: str) -> None:
        """Count *events* as dropped."""
        self._ledger.drop(events, reason, self)

    def leave(self, events: int) -> None:
        """Count *events* that nobody will be offered any more: not by this process."""
        self.drop(events, self._ledger.left_as(STOPPED))
