"""Events that plugins' own threads emit: they are fed to no plugin, which would emit again."""

from collections import deque

from attrs import define, field

from ..events.event import HypervisorEvent

MAX_INTERNAL_EVENTS = 1_000
"""Most that are kept: the newest."""


@define(eq=False)
class InternalEvents:
    """Such events.

    Attributes:
        count: How many there were.
    """

    count: int = 0
    _newest: deque[HypervisorEvent] = field(
        factory=lambda: deque(maxlen=MAX_INTERNAL_EVENTS), init=False
    )

    def keep(self, event: HypervisorEvent) -> None:
        """Take one."""
        self.count += 1
        self._newest.append(event)

    def newest(self) -> list[HypervisorEvent]:
        """Give the newest, oldest first."""
        return list(self._newest)
