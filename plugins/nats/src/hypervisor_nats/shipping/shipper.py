"""The work of shipping: when a journal is sent, to which stream, and what happens on failure.

One thread does it, and owns everything here. It reads files in the event loop of its connection,
which has no other user.
"""

import contextlib
import threading
import time

from attrs import define, field
from nats.js.client import JetStreamContext

from hypervisor_journal.runs.run_listing import RunListing
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.following.server import Server
from hypervisor_nats.link import Link
from hypervisor_nats.names import token_of
from hypervisor_nats.reasons import reason
from hypervisor_nats.shipping.fleet_stream import FleetStream, look_at
from hypervisor_nats.shipping.positions import Positions
from hypervisor_nats.shipping.shipping_lock import ShippingLock
from hypervisor_nats.shipping.standing import Standing
from hypervisor_nats.shipping.turns import Turns
from hypervisor_observability.errors import StreamUnavailableError

_TURN_SECONDS = 0.5
_LOOK_SECONDS = 0.1
_LOOK_SECONDS_A_RUN = 0.001
"""A look at an idle run takes about 0.04 ms: at most 4 % of a CPU, however many are idle."""
_LOCK_SECONDS = 0.5
_WATCH_SECONDS = 10.0
_STREAM_SECONDS = 5.0
"""A recreated or changed stream is noticed within this time."""
_LEAST_BACKOFF_SECONDS, _MAX_BACKOFF_SECONDS = 0.1, 5.0


@define(eq=False, kw_only=True)
class Shipper:
    """Sends a journal, as long as this process is the one that does.

    Attributes:
        config: Names the stream.
        service: Of the configuration: part of the subjects.
        standing: Its state, for others.
        lock: Of the directory.
        link: The connection.
        asked: Set when it is asked to end.
        finish_by: How long it then continues to send, in seconds of the monotonic clock.
        caught_up: Set once everything is sent.
        drained: Whether everything is sent that was there when it was asked to end.
    """

    config: NatsConfig
    service: str
    standing: Standing
    lock: ShippingLock = field(init=False)
    link: Link = field(init=False)
    asked: threading.Event = field(factory=threading.Event, init=False)
    finish_by: float = field(default=0.0, init=False)
    caught_up: threading.Event = field(factory=threading.Event, init=False)
    drained: bool = field(default=False, init=False)
    _rests: bool = field(default=False, init=False)
    """Whether nothing moved any more since it was asked to end."""
    _listing: RunListing = field(init=False)
    _turns: Turns | None = field(default=None, init=False)
    _watch_due: float = field(factory=lambda: time.monotonic() + _WATCH_SECONDS, init=False)
    _looked_at: float | None = field(default=None, init=False)
    """When the stream was looked at; None: it is to be."""

    def __attrs_post_init__(self) -> None:
        self.lock = ShippingLock(self.standing.directory)
        self.link = Link(self.config, "ship")
        self._listing = RunListing(self.standing.directory)

    def run(self) -> None:
        """Send until asked to end; then send what is left while there is time."""
        try:
            self._send()
            # A process that ended meanwhile left its run to the holder of the lock: perhaps after
            # the last look at the runs, and before the lock was released.
            while self._let_go() and self._is_left():
                self._rests = self.drained = False
                self._send()
        finally:
            self._leave()

    def _send(self) -> None:
        backoff = _LEAST_BACKOFF_SECONDS
        while not self._is_over():
            ending = self.asked.is_set()
            try:
                pause = self._step() if self._hold_lock() else _LOCK_SECONDS
                backoff = _LEAST_BACKOFF_SECONDS
            except Exception as error:  # noqa: BLE001 - whatever it is, what comes later is sent
                self._fail(error)
                pause, backoff = backoff, min(_MAX_BACKOFF_SECONDS, 2 * backoff)
            if ending and not self._may_finish():
                break
            self.asked.wait(0.0 if ending else pause)

    def ask_to_end(self, timeout: float) -> None:
        """Ask it to end, and to send what is left for *timeout* seconds at most."""
        self.finish_by = time.monotonic() + timeout
        self.asked.set()

    def waiting_of(self, name: str) -> int:
        """Give how many events of a run are known to wait."""
        return 0 if self._turns is None else self._turns.waiting_of(name)

    # Inside

    def _is_over(self) -> bool:
        return self._rests or (self.asked.is_set() and time.monotonic() >= self.finish_by)

    def _may_finish(self) -> bool:
        """Return whether to continue once asked to end. Not if another process sends the rest, or
        the stream is not available: the next sender does it then.
        """
        return self.lock.held and self.standing.blocked is None

    def _hold_lock(self) -> bool:
        if not self.standing.directory.is_dir():
            return False  # the journal reports it, or is not there yet
        held_before = self.lock.held
        self.standing.ships = held = self.lock.take()
        if held != held_before:  # another process may have sent since, or sends now
            self._turns = None
            self.standing.note_waiting(0, 0)
        if not held:
            self._watch()
        self.standing.sender = None if held else self.lock.holder()
        return held

    def _watch(self) -> None:
        """Count now and then what another process has not sent: it may be paused, or hang."""
        if time.monotonic() >= self._watch_due:
            self._watch_due = time.monotonic() + _WATCH_SECONDS
            with contextlib.suppress(OSError):
                self._turns_in(None).count(at_once=True)

    def _step(self) -> float:
        """Send once from all runs; give for how many seconds to rest.

        Raises:
            StreamUnavailableError: The stream is not available, or refuses a message.
            OSError: The journal cannot be read.
        """
        ending = self.asked.is_set()  # asked first: what was written before is sent then
        turns = self._present_turns()
        turns.count()
        until = time.monotonic() + _TURN_SECONDS
        if ending:
            until = min(until, self.finish_by)

        async def take(jetstream: JetStreamContext) -> bool:
            return await turns.take(jetstream, until)

        moved = self.link.call(take, self.config.timeout_seconds + 2 * _TURN_SECONDS)
        if turns.doubts.is_set():
            turns.doubts.clear()
            self._looked_at = None
        self.standing.go_well()
        self._save(turns, at_once=not moved)
        turns.count()
        if moved:
            return 0.0
        self.caught_up.set()
        self._rests, self.drained = ending, ending and not turns.troubled
        return max(_LOOK_SECONDS, _LOOK_SECONDS_A_RUN * len(turns))

    def _fail(self, error: Exception) -> None:
        self._looked_at = None  # it may be another one when all is well again
        self._keep()
        told = str(error)
        if isinstance(error, StreamUnavailableError):
            heard = self.link.heard if self.asked.is_set() else None
            why = error.reason if heard is None else reason(heard, self.config)
            if heard is None and self.link.is_closed:
                why = "it did not answer before the process ended: check whether it hangs"
            told = f"{self.link.place}: {why}"
        elif not isinstance(error, OSError):
            told = f"an internal error: {type(error).__name__}: {error}"
            self._turns = None  # it may be in what it remembers
        self.standing.fail(told)

    def _leave(self) -> None:
        self._let_go()
        self.link.close()
        self.standing.connected = False

    def _let_go(self) -> bool:
        """Let another process send; return whether this one was done."""
        self._keep()
        self.lock.release()
        self.standing.ships = False
        return self._rests

    def _is_left(self) -> bool:
        """Return whether anything waits that only this process may know of."""
        turns = self._turns
        if turns is None or time.monotonic() >= self.finish_by:
            return False
        with contextlib.suppress(OSError):
            self._look_for_runs(turns)
        return turns.is_left()

    def _keep(self) -> None:
        """Save how far it is, and count what waits."""
        turns = self._turns
        if turns is not None:
            with contextlib.suppress(Exception):  # the error was reported, or will be next time
                self._look_for_runs(turns)
                turns.count(at_once=True)
                self._save(turns, at_once=True)

    def _save(self, turns: Turns, *, at_once: bool) -> None:
        """Save how far it is. Where that fails, the stream is asked after the next start."""
        try:
            if turns.positions.save(at_once=at_once):
                self.standing.end_trouble("positions")
        except OSError as error:
            told = f"its positions cannot be saved: {error}: free disk space, or fix the path"
            self.standing.note_trouble("positions", told)

    def _present_turns(self) -> Turns:
        """Return the runs and how far they are, in the present stream.

        Raises:
            StreamUnavailableError: It is not available, or not one of ours.
            OSError: The journal cannot be read.
        """
        if self._turns is None:
            self._turns = self._turns_in(None)
        self._look_for_runs(self._turns)  # so that it is known what waits, whatever follows
        if self._looked_at is None or time.monotonic() - self._looked_at > _STREAM_SECONDS:
            stream = self.link.call(self._look_at_stream)
            if self._turns.positions.stream != stream.id:
                self._turns = self._turns_in(stream)
            if self._turns.stream != stream:
                self._turns.go_on_in(stream)
            self._looked_at = time.monotonic()
        return self._turns

    async def _look_at_stream(self, _: JetStreamContext) -> FleetStream:
        return await look_at(Server(self.link))

    def _turns_in(self, stream: FleetStream | None) -> Turns:
        path = self.lock.folder / f"{token_of(self.config.stream)}.json"
        positions = Positions.read(path, None if stream is None else stream.id)
        if positions.damage is not None:
            told = (
                f"has lost its positions: {path}: {positions.damage}; it asks the stream for them"
            )
            self.standing.tell("damage", told)
        if positions.former is not None:
            told = (
                f"is sent from its beginning: {self.link.place} is not the stream that it was sent"
                " to before"
            )
            self.standing.tell("anew", told)
        turns = Turns(
            directory=self.standing.directory,
            config=self.config,
            service=self.service,
            standing=self.standing,
            positions=positions,
        )
        self._listing = RunListing(self.standing.directory)
        self._look_for_runs(turns)
        return turns

    def _look_for_runs(self, turns: Turns) -> None:
        names = self._listing.look()
        if names is not None:
            turns.take_names(names)
