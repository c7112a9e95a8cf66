"""What shipping tells of itself: to the log, to the status, as metrics."""

import time
from pathlib import Path
from typing import Any

from attrs import define, field

from hypervisor_observability.text.limited_log import say


@define(eq=False)
class Standing:
    """How a journal's way into the stream stands. Written by one thread, read by any.

    Attributes:
        directory: The journal's.
        ships: Whether this process sends it.
        sender: Another process that does; None: none is known.
        connected: Whether the stream took, or answered, what it was asked last.
        blocked: What keeps all of it from being sent at present; None: nothing does.
        troubles: What is wrong beside that, by run or kind: the rest is sent all the same.
        shipped: Events that the stream has acknowledged.
        waiting: Events that are known to wait, of all runs.
        oldest_ns: Time of the oldest of them, in nanoseconds since the epoch; 0: none waits.
        gone: Events that the journal does not have any more, or that are damaged.
        too_large: Events that the server would not take.
        logs_blocked: Whether what blocks it is logged: not where its caller reports it.
    """

    directory: Path
    ships: bool = False
    sender: str | None = None
    connected: bool = False
    blocked: str | None = None
    troubles: dict[str, str] = field(factory=dict)
    shipped: int = 0
    waiting: int = 0
    oldest_ns: int = 0
    gone: int = 0
    too_large: int = 0
    logs_blocked: bool = True
    _told: set[str] = field(factory=set, init=False)

    @property
    def problem(self) -> str | None:
        """What is wrong at present, for people; None: nothing is."""
        return self.blocked or next(iter(list(self.troubles.values())), None)

    @property
    def behind_seconds(self) -> float:
        """How long the oldest event that waits has been waiting."""
        return max(0.0, time.time() - self.oldest_ns / 1e9) if self.oldest_ns else 0.0

    def fail(self, problem: str) -> None:
        """Note what keeps it from being sent, and log it once."""
        self.connected, self.blocked = False, problem
        if self.logs_blocked:
            self.tell(problem, f"is not sent: {problem}; events wait in the journal")

    def go_well(self) -> None:
        """Note that nothing keeps it from being sent, and tell so where it was told otherwise."""
        self.connected = True
        if self.blocked is not None:
            self.blocked = None
            self._told.clear()
            say(__name__, "info", "nats: journal %s is sent again", self.directory)

    def note_trouble(self, kind: str, trouble: str) -> None:
        """Note what is wrong though the rest is sent, and tell so once."""
        self.troubles[kind] = trouble
        self.tell(kind, f"is in trouble: {trouble}")

    def end_trouble(self, kind: str) -> None:
        """Note that all is well again."""
        if self.troubles.pop(kind, None) is not None:
            self._told.discard(kind)

    def tell(self, kind: str, message: str) -> None:
        """Log *message*, unless one of its *kind* was since all went well."""
        if kind not in self._told and say(
            __name__, "warning", "nats: journal %s %s", self.directory, message
        ):
            self._told.add(kind)

    def note_sent(self, events: int, numbers: int) -> None:
        """Count what the stream has acknowledged, and what it was found to have."""
        self.connected = True
        self.shipped += events
        self.waiting = max(0, self.waiting - numbers)

    def note_waiting(self, events: int, oldest_ns: int) -> None:
        """Take how many events are known to wait, and the time of the oldest of them."""
        self.waiting, self.oldest_ns = events, oldest_ns if events else 0

    def note_passed_over(self, gone: int, too_large: int) -> None:
        """Count events that will not be sent."""
        self.gone += gone
        self.too_large += too_large
        if gone:
            self.tell("gone", f"lacks {gone} events that were not sent yet: its bounds (max_bytes,"
                      " max_age_seconds) took them, or they are damaged")  # fmt: skip
        if too_large:
            self.tell("too large", f"has {too_large} events that the server refuses: raise"
                      " max_payload, or max_msg_size of the stream")  # fmt: skip

    def status(self) -> dict[str, Any]:
        """Tell of it, in plain data."""
        return {
            "ships": self.ships,
            "sender": self.sender,
            "connected": self.connected,
            "shipped": self.shipped,
            "waiting": self.waiting,
            "behind_seconds": round(self.behind_seconds, 3),
            "not_shipped": self.gone + self.too_large,
            "problem": self.problem,
        }
