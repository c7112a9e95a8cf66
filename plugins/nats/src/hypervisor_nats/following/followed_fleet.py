"""The stream of a fleet, for the readers of one agent among many."""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from attrs import define, field

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.following.entries import Entry, Snapshot
from hypervisor_nats.following.membership import Membership
from hypervisor_nats.following.metrics import fleet_metrics
from hypervisor_nats.following.rounds import Rounds
from hypervisor_nats.following.server import FencedError, Server
from hypervisor_nats.following.shared_stream import PartitionStream
from hypervisor_nats.following.stream_facts import facts_of
from hypervisor_nats.following.tenures import Tenures
from hypervisor_nats.following.term import Term
from hypervisor_nats.link import CLIENT_ERRORS, Link
from hypervisor_observability import MetricFamily
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.text.limited_log import LimitedLog

Result = TypeVar("Result")

_GRACE_SECONDS = 0.5
_LOOK_SECONDS = 1.0
_STOP_SECONDS = 3.0


@define(eq=False)
class FollowedFleet:
    """The partitions that fall to this agent.

    Attributes:
        config: Where the stream is.
        streams: What the readers read, by name.
    """

    config: NatsConfig
    streams: dict[str, PartitionStream] = field(factory=dict, init=False)
    _link: Link = field(init=False)
    _server: Server = field(init=False)
    _rounds: Rounds | None = field(default=None, init=False)
    _going: "Future[None] | None" = field(default=None, init=False)
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    def __attrs_post_init__(self) -> None:
        self._link = Link(self.config, "agent")
        self._server = Server(self._link)

    # The store

    @property
    def place(self) -> str:
        """The servers and the stream."""
        return self._link.place

    def start(self) -> None:
        """Become one of the agents.

        Raises:
            StreamUnavailableError: No server answers, or there is no stream.
        """
        self._call(facts_of(self._server))
        if self._rounds is None:
            membership = Membership(self.config.lease_seconds, self.streams.keys())
            tenures = Tenures(self._server, membership.id, self.streams)
            self._rounds = Rounds(self._server, membership, tenures)
            self._going = asyncio.run_coroutine_threadsafe(self._rounds.run(), self._link.loop)

    def stream_for(self, reader: str, *, defers: bool) -> PartitionStream:
        """Give what *reader* reads.

        Args:
            reader: Name of the plugin.
            defers: Whether what it does not get is for the next agent.
        """
        if reader not in self.streams:
            self.streams[reader] = PartitionStream(reader, self, defers)
        return self.streams[reader]

    def stop(self) -> None:
        """Give up everything: other agents may have it at once. The servers may be away."""
        rounds, going = self._rounds, self._going
        self._rounds = self._going = None
        if rounds is not None and going is not None:
            going.cancel()
            if self._server.is_connected:
                with contextlib.suppress(*CLIENT_ERRORS):
                    self._link.run(rounds.end(), _STOP_SECONDS)
        self._link.close()

    def status(self) -> Mapping[str, Any]:
        """Tell of it, in plain data."""
        told = {} if self._rounds is None else self._rounds.status()
        return {"servers": ",".join(self.config.servers), "stream": self.config.stream, **told}

    def metrics(self) -> list[MetricFamily]:
        """Tell of it, as metrics."""
        rounds = self._rounds
        return [] if rounds is None else fleet_metrics(rounds, keeps=self.keeps)

    # For its streams, in the threads of their readers

    @property
    def patience(self) -> float:
        """Longest time to wait for a message that has to come, in seconds."""
        return self.config.timeout_seconds

    @property
    def keeps(self) -> bool:
        """Whether the agent has what it has, for all that it knows."""
        return self._rounds is not None and self._rounds.is_within_grace

    def check(self) -> None:
        """Make sure that what this agent has is its own still.

        Raises:
            StreamUnavailableError: It may not be.
        """
        rounds = self._rounds
        if rounds is None:
            raise StreamUnavailableError(self.place, "the agent does not run")
        trouble = self._server.trouble.text
        if not rounds.has_looked:
            raise StreamUnavailableError(self.place, trouble or "it has not looked yet")
        if not self._server.is_connected:
            raise StreamUnavailableError(self.place, trouble or "the connection is lost")
        if not rounds.membership.alive:
            why = trouble or "the servers do not answer"
            raise StreamUnavailableError(self.place, f"others may have taken over: {why}")

    def look(self, reader: str, terms: Sequence[Term]) -> None:
        """Find out how much waits for a reader in *terms*, which are all that it has.

        Raises:
            StreamUnavailableError: It cannot be told: a partition that falls to this agent is not
                its own yet, for instance.
        """
        self.check()
        rounds = self._rounds
        if rounds is None:
            return
        late = rounds.wanted.get(reader, set()) | {
            term.partition for term in terms if not term.is_ready
        }
        if late:
            raise StreamUnavailableError(
                self.place, f"partition {min(late)} is not ready for {reader} yet"
            )
        partitions = [term.partition for term in terms]
        if not self._call(rounds.tenures.counts_all(partitions, _LOOK_SECONDS)):
            raise StreamUnavailableError(self.place, "not all that waits is counted yet")

    def waiting(self, term: Term) -> int:
        """Give how many events wait behind what was taken in *term*."""
        rounds = self._rounds
        return 0 if rounds is None else rounds.tenures.behind(term)

    def save(self, term: Term, entry: Entry, snapshot: Snapshot | None) -> bool:
        """Save it. Never raises; tells whether it was saved."""
        rounds = self._rounds
        if rounds is None or not self._server.is_connected:
            return False  # it is saved when the connection is back
        term.is_saving = True
        try:
            # Encoded in this thread: a large one would hold up the loop, and its signs of life.
            data = None if snapshot is None else snapshot.to_bytes()
            self._link.run(rounds.tenures.save(term, entry, data), self.config.timeout_seconds)
        except FencedError:
            rounds.tenures.lose(term)
        except (ValueError, TypeError) as error:  # a plugin's own state may be odd
            self._tell(term, error)
            return self.save(term, entry, None) if snapshot is not None else False
        except (*CLIENT_ERRORS, RuntimeError) as error:
            self._tell(term, error)
        else:
            return True
        finally:
            term.is_saving = False
        return False

    def _tell(self, term: Term, error: Exception) -> None:
        self._limited_log.warning(
            "save", "how far %s is in partition %d is not saved yet: %s",
            term.kept.reader, term.partition, str(error) or type(error).__name__,
        )  # fmt: skip

    def rewind(self, term: Term) -> None:
        """Begin *term* at its state again.

        Raises:
            StreamUnavailableError: It cannot be done at present.
        """
        if self._rounds is not None:
            self._call(self._rounds.tenures.begin_again(term))

    def wake(self, term: Term) -> None:
        """Have messages come for which there is room now."""
        with contextlib.suppress(*CLIENT_ERRORS, RuntimeError):  # it ends
            self._link.loop.call_soon_threadsafe(term.pull.wake)

    def _call(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        began = time.monotonic()
        try:
            return self._link.run(coroutine, self.config.timeout_seconds + _GRACE_SECONDS)
        except CLIENT_ERRORS as error:
            raise self._link.unavailable(error, since=began) from error
