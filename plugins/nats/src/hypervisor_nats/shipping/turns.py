"""The runs of a journal, as they take turns on their way into one stream."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from attrs import define, evolve, field
from nats.js.client import JetStreamContext

from hypervisor_journal.reading.raw_run import Place, RawRun
from hypervisor_journal.runs.run_ledger import RunLedger
from hypervisor_journal.runs.runs import Run
from hypervisor_journal.streams.failed_reads import damage_teller
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.reasons import CLIENT_ERRORS
from hypervisor_nats.shipping.fleet_stream import FleetStream
from hypervisor_nats.shipping.packing import Bounds
from hypervisor_nats.shipping.positions import Positions, Reached
from hypervisor_nats.shipping.sending import Sender
from hypervisor_nats.shipping.shipped_run import ShippedRun, UnreadableRunError
from hypervisor_nats.shipping.standing import Standing

_SIDE_BY_SIDE = 16
"""So many runs are sent at once; each has one message on its way."""
_COUNT_SECONDS = 2.0


@define(eq=False, kw_only=True)
class Turns:
    """The runs that are not done. One that had its turn goes behind all others.

    Attributes:
        directory: The journal's.
        config: Names the stream.
        service: Of the configuration: part of the subjects.
        standing: Counts what becomes of events.
        positions: How far each run was sent into the stream.
        doubts: Set when the stream is not in the expected state, and must be looked at again.
        stream: The stream, as seen last; None: not seen yet, so nothing is sent.
    """

    directory: Path
    config: NatsConfig
    service: str
    standing: Standing
    positions: Positions
    doubts: threading.Event = field(factory=threading.Event, init=False)
    stream: FleetStream | None = field(default=None, init=False)
    _runs: dict[str, ShippedRun] = field(factory=dict, init=False)
    _bounds: Bounds = field(init=False)
    _counted_at: float = field(default=0.0, init=False)
    _oldest_ns: int = field(default=0, init=False)
    _ledger: RunLedger = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._ledger = RunLedger(self.directory)
        self._bounds = _bounds_of(self.config, 0)

    def __len__(self) -> int:
        """How many runs are not done."""
        return len(self._runs)

    def take_names(self, names: Iterable[str]) -> None:
        """Add the runs that are there now, and those that were removed before their end."""
        there, positions = set(names), self.positions
        positions.done &= there
        for name in sorted({*there, *positions.runs}):
            if name not in self._runs and name not in positions.done:
                if (
                    name not in positions.runs
                ):  # so that it counts as gone if it is removed before its turn
                    positions.take(name, Reached(Place(), 0, ""))
                raw = RawRun(Run(self.directory / name), damage_teller("nats"))
                saved = positions.runs[name]
                reached = self._with_subject(name, saved)
                self._runs[name] = ShippedRun(raw, reached, known=saved.subject != "")
                self._runs[name].end = positions.ends.get(name, 0)

    def go_on_in(self, stream: FleetStream) -> None:
        """Continue in the present stream, which may have other limits or partitions."""
        self.stream, self._bounds = stream, _bounds_of(self.config, stream.limit_bytes)
        for name, run in self._runs.items():
            run.reached = self._with_subject(name, run.reached)

    def _with_subject(self, name: str, reached: Reached) -> Reached:
        if self.stream is None:
            return reached
        former = reached.subject
        subject = self.stream.subject_for(self.config, self.service, name, former)
        return reached if subject == former else evolve(reached, subject=subject, last=0)

    async def take(self, jetstream: JetStreamContext, until: float) -> bool:
        """Send from all runs, side by side, until a moment of the monotonic clock.

        Returns:
            Whether anything moved, or a run had no turn.

        Raises:
            NatsError: The stream refuses a message. The others were sent.
            OSError: The connection failed. The other messages were sent.
        """
        if self.stream is None:
            return False
        sender = Sender(jetstream, self.config, self.stream, self.doubts)
        waiting, moved = list(self._runs.values()), False
        while waiting and time.monotonic() < until:
            now, waiting = waiting[:_SIDE_BY_SIDE], waiting[_SIDE_BY_SIDE:]
            sending = [self._send_some(sender, run, until) for run in now]
            results = await asyncio.gather(*sending, return_exceptions=True)
            for run in now:
                self._end_turn(run)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
                moved = moved or result
        return moved or bool(waiting)

    async def _send_some(self, sender: Sender, run: ShippedRun, until: float) -> bool:
        """Send from a run. A fault of one run does not keep the others from being sent."""
        moved = False
        try:
            moved = await self._send_of(sender, run, until)
        except CLIENT_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is that run's own
            told = str(error)
            if not isinstance(error, UnreadableRunError):
                told = f"run {run.name} cannot be sent: {type(error).__name__}: {error}"
            run.troubled = True
            self.standing.note_trouble(run.name, told)
        else:
            run.troubled = False
            self.standing.end_trouble(run.name)
        return moved

    async def _send_of(self, sender: Sender, run: ShippedRun, until: float) -> bool:
        moved = False
        while not run.done and time.monotonic() < until:
            packed = run.pack(self._bounds)
            if packed is None:
                break
            before = run.reached.place.sequence
            sent = await sender.send(run, packed)
            self.standing.note_sent(sent or 0, run.reached.place.sequence - before)
            if sent is not None:
                self.standing.note_passed_over(packed.gone, packed.too_large)
            moved = True
        return moved

    def _end_turn(self, run: ShippedRun) -> None:
        self._runs.pop(run.name, None)
        reached = run.reached if run.known else evolve(run.reached, subject="")
        self.positions.take(run.name, None if run.done else reached)
        if not run.done:
            self._runs[run.name] = run  # behind all others

    @property
    def troubled(self) -> bool:
        """Whether a run has a fault that keeps it from being sent."""
        return any(run.troubled for run in self._runs.values())

    def is_left(self) -> bool:
        """Return whether anything waits in runs without a writer."""
        return any(run.is_left(self._bounds) for run in self._runs.values())

    def waiting_of(self, name: str) -> int:
        """Give how many events of a run are known to wait."""
        run = self._runs.get(name)
        return 0 if run is None else run.waiting

    def count(self, *, at_once: bool = False) -> None:
        """Count the events that wait. It looks for the end of each run now and then, or at once;
        an idle run costs nothing more.
        """
        if at_once or time.monotonic() - self._counted_at >= _COUNT_SECONDS:
            with contextlib.suppress(OSError):  # then each run is looked at
                self._ledger.look()
            for name, run in self._runs.items():
                ended = self._ledger.runs.get(name)
                with contextlib.suppress(OSError):  # the turn tells of it
                    run.look(None if ended is None else ended.end)
                if run.waiting:
                    self.positions.note_end(name, run.end)
            self._oldest_ns = self._find_oldest()
            self._counted_at = time.monotonic()
        waiting = sum(run.waiting for run in self._runs.values())
        self.standing.note_waiting(waiting, self._oldest_ns)

    def _find_oldest(self) -> int:
        """Give the time of the oldest record that waits, of the runs that began first; 0: none."""
        waiting = sorted(name for name, run in self._runs.items() if run.waiting)
        times = []
        for name in waiting[:_SIDE_BY_SIDE]:
            with contextlib.suppress(OSError):
                times.append(self._runs[name].oldest_ns())
        return min(filter(None, times), default=0)


def _bounds_of(config: NatsConfig, limit_bytes: int) -> Bounds:
    most = min(config.max_message_bytes, limit_bytes)
    return Bounds(config.max_message_events, most, limit_bytes)
