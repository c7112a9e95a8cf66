"""A partition that one reader of this agent has, from when it got it until it loses it."""

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field

from hypervisor_nats.following.digests import Digests, Message
from hypervisor_nats.following.entries import Entry, Place, Snapshot
from hypervisor_nats.following.inbox import Inbox
from hypervisor_nats.following.keeping import Kept
from hypervisor_nats.following.known_runs import KnownRuns
from hypervisor_nats.following.portion import EXPIRED, UNVERIFIED, Portion
from hypervisor_nats.following.pull import Pull
from hypervisor_nats.runs.checked_run import CheckedRun
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.events.event import HypervisorEvent

_MAX_PORTIONS = 1_000
_LOOK_SECONDS = 0.05
_SNAPSHOT_SECONDS = 1.0
# Snapshots take no more than this part of a reader's time.
_SHARE = 0.05


@define(eq=False, kw_only=True)
class Term:
    """A partition of a reader. The loop feeds it; the reader's worker takes, under its lock.

    Attributes:
        partition: Number of the partition.
        number: Of the term: no other one of this process has it.
        kept: The entry in the bucket.
        begins: Where the reader continues.
        since: The place that its state is of.
        snapshot: What was saved there.
        is_cut: Whether the server had removed messages that nobody had read.
        digests: What is known of messages.
        tell: Called with what is wrong in a message: a key, which limits repeats, and a text.
        place: All before it is settled.
        expired: How many events were gone before they were read, in all terms.
        unverified: How many were not proven, in all terms.
        strange: How many messages were not from a shipper, in this term.
        reply: Where what is settled is acknowledged.
        is_dirty: Whether *place* is not in the bucket yet.
        snapshot_due: The moment from which on another snapshot may be taken.
        leaves_at: The moment at which it is given up, whatever the reader has in its hands; None:
            it is not to be given up.
    """

    partition: int
    number: int
    kept: Kept
    begins: Place
    since: Place
    snapshot: Snapshot
    is_cut: bool
    digests: Digests
    tell: Any
    inbox: Inbox = field(factory=Inbox, init=False)
    pull: Pull = field(init=False)
    place: Place = field(init=False)
    expired: int = field(init=False)
    unverified: int = field(init=False)
    strange: int = field(default=0, init=False)
    reply: str | None = field(default=None, init=False)
    is_dirty: bool = field(default=False, init=False)
    is_saving: bool = field(default=False, init=False)
    """Whether its reader saves it at this moment."""
    snapshot_due: float = field(default=0.0, init=False)
    leaves_at: float | None = field(default=None, init=False)
    is_ready: bool = field(default=False, init=False)
    """Whether its reader has asked for its state."""
    returned: "deque[Portion]" = field(factory=deque, init=False)
    """What was taken, and given back."""
    reached: int = field(init=False)
    """Sequence number of the last message that was taken."""
    not_told: int = field(default=0, init=False)
    """How many events are passed over because the reader begins behind them."""
    _runs: KnownRuns = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.place, self.expired = self.begins, self.kept.entry.expired
        self.unverified = self.kept.entry.unverified
        self.rewind()

    @property
    def name(self) -> str:
        """Of the part."""
        return str(self.partition)

    def rewind(self) -> None:
        """Begin at the state again. Nothing may come meanwhile."""
        self._runs = KnownRuns.from_json(self.snapshot.runs)
        self.returned.clear()
        self.inbox.clear()
        self.reached = self.since.sequence

    @property
    def is_touched(self) -> bool:
        """Whether anything was taken since it began, or was rewound."""
        return self.reached != self.since.sequence

    # By the reader

    def events_since(self, seconds: float) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        """Give what was settled between the state and where the reader continues.

        Args:
            seconds: Longest time to wait for a message.

        Raises:
            StreamUnavailableError: None came.
        """
        while self._is_before(self.begins):
            message = self._await(seconds)
            if message is None:
                self.reached = self.begins.sequence
                return
            run, events = self._take_settled(message)
            if events:
                yield run, events

    def pass_since(self) -> bool:
        """Pass over that, for a reader that keeps no state; False where it has not all come."""
        while self._is_before(self.begins):
            none_left = self._has_none_left()
            message = self.inbox.first()
            if message is None:
                return none_left
            self._take_settled(message)
        return True

    def _is_before(self, place: Place) -> bool:
        return self.reached < place.sequence + bool(place.next)

    def _take_settled(self, message: Message) -> tuple[str, Sequence[HypervisorEvent]]:
        """Take *message*, and of it what was settled behind the state."""
        within = message.sequence > self.begins.sequence
        if within and not self.begins.next:
            self.reached = self.begins.sequence
            return "", ()
        low = self.since.next if self.reached == self.since.sequence else 0
        portion = self._digested(message, settled=True)
        self.inbox.pop()
        first, end = bisect_left(portion.sequences, low), len(portion.events)
        if within:
            end = bisect_left(portion.sequences, self.begins.next)
            self.returned.append(portion.cut_rest(end, self.begins))
        return portion.run, portion.events[first : max(first, end)]

    def _await(self, seconds: float) -> Message | None:
        """Wait for a message; None where none is left."""
        until = time.monotonic() + seconds
        while True:
            self.inbox.look()
            none_left = self._has_none_left()
            message = self.inbox.first()
            if message is not None or none_left:
                return message
            if time.monotonic() > until:
                raise StreamUnavailableError(
                    f"partition {self.partition}", "no messages came in time"
                )
            self.inbox.wait(_LOOK_SECONDS)

    def _has_none_left(self) -> bool:
        # Asked before it is looked what has arrived: that comes first.
        return self.pull.consumer is not None and self.pull.pending == 0

    def take(self, most: int) -> list[Portion]:
        """Take up to *most* events, and what is passed over before the first of them."""
        found: list[Portion] = []
        left = most
        while left > 0 and len(found) < _MAX_PORTIONS:
            portion = self._next()
            if portion is None:
                break
            if portion.skipped and any(one.stop > one.start for one in found):
                self.returned.appendleft(portion)
                break
            if len(portion.events) > left:
                portion, rest = portion.cut(left)
                self.returned.appendleft(rest)
            found.append(portion)
            left -= len(portion.events)
            if portion.skipped and not portion.events:
                break
        return found

    def _next(self) -> Portion | None:
        if self.returned:
            return self.returned.popleft()
        message = self.inbox.first()
        if message is None:
            return None
        portion = self._digested(message, settled=False)
        self.inbox.pop()
        return portion

    def _digested(self, message: Message, *, settled: bool) -> Portion:
        begin, end = Place(self.reached), Place(message.sequence)
        self.reached = message.sequence
        head = message.head
        if head is None:
            self.strange += not settled
            self.tell(
                "strange", f"message {message.sequence} is not from a shipper: {message.strange}"
            )
            return Portion("", None, begin, end, {}, (), (), message.reply)
        known = self._runs.is_known(head.run)
        run = self._runs.run(head.run)
        ended = self._runs.ended_at(head.run)
        if ended is not None and head.next <= ended:  # a repeat: all of it was had
            return Portion(head.run, run, begin, end, {}, (), (), message.reply)
        digest = self.digests.digest(run, head, message)
        self._runs.note(digest.after)
        missing = digest.missing
        if not known and self.is_cut and digest.problem is None:
            missing += digest.after.begins
        skips = {}
        if missing:
            skips[EXPIRED] = missing
        if digest.problem is not None and run.bad is None:
            self.tell(f"run {head.run}", f"run {head.run} does not verify: message"
                      f" {message.sequence}: {digest.problem}; nothing of it is delivered from"
                      " there on")  # fmt: skip
        if digest.unverified:
            skips[UNVERIFIED] = digest.unverified
        return Portion(
            head.run, run if known else None, begin, end, skips,
            digest.events, digest.sequences, message.reply,
        )  # fmt: skip

    # What is known

    @property
    def read_up_to(self) -> int:
        """Sequence number of the last message that does not wait for the reader."""
        return max(self.reached, self.begins.sequence)

    @property
    def waiting(self) -> int:
        """How many events wait here: those given back, and those that it begins behind."""
        return self.not_told + sum(one.skipped + len(one.events) for one in self.returned)

    @property
    def living(self) -> set[str]:
        """Names of the runs of which more may come."""
        return {*self._runs.living, *(one.run for one in self.returned if one.run)}

    def numbers(self) -> dict[str, int]:
        """Give how far each run was read."""
        return self._runs.numbers()

    # What is saved

    def entry(self) -> Entry:
        """Give what is to stand in the bucket."""
        return evolve(
            self.kept.entry, place=self.place, expired=self.expired, unverified=self.unverified
        )

    def settle(self, portion: Portion) -> None:
        """Note that all of *portion* is settled."""
        self.place, self.is_dirty = portion.end, True
        self.reply = portion.reply or self.reply
        self.expired += portion.skips.get(EXPIRED, 0)
        self.unverified += portion.skips.get(UNVERIFIED, 0)

    def snapshot_with(
        self, state: Mapping[str, Any] | None, unsettled: Sequence[Portion]
    ) -> Snapshot:
        """Give what is saved of the place that is settled.

        Args:
            state: The reader's own, of that place.
            unsettled: What was taken behind it, in order.
        """
        instead: dict[str, CheckedRun | None] = {}
        for portion in reversed([*unsettled, *self.returned]):
            if portion.run:
                instead[portion.run] = portion.before
        return Snapshot(state, self._runs.to_json(instead))

    def note_snapshot(self, begun: float) -> None:
        """Note that a snapshot was saved, which began at a moment of the monotonic clock."""
        now = time.monotonic()
        self.snapshot_due = now + max(_SNAPSHOT_SECONDS, (now - begun) / _SHARE)
