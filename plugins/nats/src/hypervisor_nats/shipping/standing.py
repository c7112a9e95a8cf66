"""The state of shipping, for the log, the status and the metrics."""

import time
from pathlib import Path
from typing import Any

from attrs import define, field

from hypervisor_observability.text.limited_log import say


@define(eq=False)
class Standing:
    """The state of a journal on its way into the stream. One thread writes it, any thread reads it.

    Attributes:
        directory: The journal's.
        ships: Whether this process sends it.
        sender: Another process that does; None: none is known.
        connected: Whether the stream answered the last request.
        blocked: What keeps all of it from being sent now; None: nothing does.
        troubles: Other problems, by run or kind: the rest is still sent.
        shipped: Events that the stream has acknowledged.
        waiting: Events known to wait, of all runs.
        oldest_ns: Time of the oldest of them, in nanoseconds since the epoch; 0: none waits.
        gone: Events that are damaged, or no longer in the journal.
        too_large: Events that the server refuses.
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
        """What is wrong now, for people; None: nothing is."""
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
        """Note that nothing keeps it from being sent, and log that if a problem was logged."""
        self.connected = True
        if self.blocked is not None:
            self.blocked = None
            self._told.clear()
            say(__name__, "info", "nats: journal %s is sent again", self.directory)

    def note_trouble(self, kind: str, trouble: str) -> None:
        """Note a problem that does not keep the rest from being sent, and log it once."""
        self.troubles[kind] = trouble
        self.tell(kind, f"has a problem: {trouble}")

    def end_trouble(self, kind: str) -> None:
        """Note that a problem is over."""
        if self.troubles.pop(kind, None) is not None:
            self._told.discard(kind)

    def tell(self, kind: str, message: str) -> None:
        """Log *message*, unless one of its *kind* was logged since shipping last recovered."""
        if kind not in self._told and say(
            __name__, "warning", "nats: journal %s %s", self.directory, message
        ):
            self._told.add(kind)

    def note_sent(self, events: int, numbers: int) -> None:
        """Count the events that the stream has acknowledged, or already had."""
        self.connected = True
        self.shipped += events
        self.waiting = max(0, self.waiting - numbers)

    def note_waiting(self, events: int, oldest_ns: int) -> None:
        """Note how many events are known to wait, and the time of the oldest one."""
        self.waiting, self.oldest_ns = events, oldest_ns if events else 0

    def note_passed_over(self, gone: int, too_large: int) -> None:
        """Count events that will not be sent."""
        self.gone += gone
        self.too_large += too_large
        if gone:
            self.tell("gone", f"lost {gone} events before they were sent: its bounds (max_bytes,"
                      " max_age_seconds) removed them, or they are damaged")  # fmt: skip
        if too_large:
            self.tell("too large", f"has {too_large} events that the server refuses: raise"
                      " max_payload, or max_msg_size of the stream")  # fmt: skip

    def status(self) -> dict[str, Any]:
        """Return the state as plain data."""
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
