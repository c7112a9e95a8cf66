"""The history in the stream of a fleet: the events of all its runs, by time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Self

from attrs import define, field

from hypervisor_nats.asking.catalogue import Catalogue, ListedRun
from hypervisor_nats.asking.entries import bad_text
from hypervisor_nats.asking.following import FleetFollower
from hypervisor_nats.asking.merging import merged
from hypervisor_nats.asking.run_walk import Room, RunWalk, taken_of
from hypervisor_nats.asking.sieve import Sieve
from hypervisor_nats.asking.stream_messages import StreamMessages
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.link import Link
from hypervisor_nats.reasons import no_stream
from hypervisor_observability.errors import NoHistoryError
from hypervisor_observability.stores import (
    EVERYTHING,
    Description,
    Entry,
    HistoryContext,
    Wanted,
)

_MOST_PROBLEMS = 20


@define(eq=False)
class FleetHistory:
    """The events of all runs of the stream.

    It shows a run as far as its messages belong together and the records that it reads are what was
    written. ``hvobs nats verify`` reads and proves all of them.

    Attributes:
        messages: Of the stream.
        context: Who asks.
        indexed: False: only time and run find few events among many without reading all.
    """

    messages: StreamMessages
    context: HistoryContext
    indexed: bool = field(default=False, init=False)
    _catalogue: Catalogue = field(init=False)
    _told: set[str] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self._catalogue = Catalogue(self.messages, self.context.step)

    @classmethod
    def of(cls, config: NatsConfig, context: HistoryContext) -> Self:
        """Open the past of a fleet.

        Raises:
            NoHistoryError: There is no stream, or it is empty, and the caller does not wait.
            StreamAwayError: The stream cannot be read.
        """
        link = Link(config, "asking")
        try:
            history = cls(StreamMessages(link), context)
            state = history.messages.state()
            if not context.may_be_empty:
                if state is None:
                    raise NoHistoryError(f"{link.place}: {no_stream(config)}")
                if state.last < state.first or not state.last:
                    raise NoHistoryError(
                        f"nothing is recorded in {link.place}: 'hvobs ship' sends the journal of"
                        " a machine there"
                    )
        except BaseException:
            link.close()
            raise
        return history

    @property
    def place(self) -> str:
        """The servers and the stream."""
        return self.messages.link.place

    def runs(self) -> list[str]:
        """Give the names of the runs, the oldest first.

        Raises:
            StreamAwayError: The stream cannot be read at present.
        """
        self._catalogue.update()
        return self._catalogue.names()

    def events(
        self,
        wanted: Wanted = EVERYTHING,
        *,
        runs: Iterable[str] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[Entry]:
        """Give the events that are *wanted*, by their times; within a run in its own order.

        Heads of messages say which can be passed over; of others all records are read.

        Args:
            wanted: Which.
            runs: Only those of these; None: of all.
            limit: Only the newest so many; None: all.
            newest_first: Whether the order is turned round.

        Raises:
            StreamAwayError: The stream cannot be read at present.
        """
        self._catalogue.update()
        for text in self._catalogue.strangers_told():
            self._tell_once(text, self.context.remark)  # it is no loss
        return self.events_of(
            self._catalogue.listed(runs), wanted, limit=limit, newest_first=newest_first
        )

    def events_of(
        self,
        runs: Iterable[ListedRun],
        wanted: Wanted,
        *,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[Entry]:
        """Give the events of *runs*, as ``events`` does."""
        turned = newest_first or limit is not None
        spoiled: dict[str, int] = {}

        def spoil(run: ListedRun, place: int, number: int, problem: str) -> None:
            spoiled[run.name] = min(number, spoiled.get(run.name, number))
            self._catalogue.spoil(run.name, place, problem)
            self._tell_bad(run.name, problem)

        sieve, room = Sieve.of(wanted), Room()
        walks = []
        for run in runs:
            if run.bad is not None:
                self._tell_bad(run.name, run.bad)
            self._settle_doubts(run, spoil)
            walk = RunWalk(run, wanted, sieve, self.messages, self.context, spoil, turned, room)
            if len(walk):
                walks.append(walk)
        if self.context.expect is not None:
            self.context.expect(sum(map(len, walks)))
        found = merged(walks, turned=turned)
        if limit is None:
            return found
        newest = _sound(found, limit, spoiled)
        return iter(newest if newest_first else newest[::-1])

    def follow(self) -> FleetFollower:
        """Give what comes from now on.

        Raises:
            StreamAwayError: The stream cannot be read at present.
        """
        self._catalogue.update()
        return FleetFollower(
            self.messages,
            self.context.notice,
            self.events_of,
            self._catalogue.listed(),
            self._catalogue.position,
            self._catalogue.state,
        )

    def describe(self) -> Description:
        """Return how much there is, and which runs have not ended yet.

        Raises:
            StreamAwayError: The stream cannot be read at present.
        """
        catalogue = self._catalogue
        catalogue.update()
        runs = [catalogue.runs[name] for name in catalogue.names()]
        problems = [bad_text(run.name, run.bad) for run in runs if run.bad is not None]
        problems += catalogue.strangers_told()
        if len(problems) > _MOST_PROBLEMS:
            problems[_MOST_PROBLEMS:] = [f"and {len(problems) - _MOST_PROBLEMS} more problems"]
        return Description(
            runs=len(runs),
            living=tuple(run.name for run in runs if not run.ended),
            events=sum(sum(run.counts) for run in runs),
            bytes=None if catalogue.state is None else catalogue.state.bytes,
            problems=tuple(problems),
        )

    def close(self) -> None:
        """End the connection."""
        self.messages.close()

    def _settle_doubts(
        self, run: ListedRun, spoil: Callable[[ListedRun, int, int, str], object]
    ) -> None:
        """Read the messages that others contradict, before showing anything behind them."""
        for place in sorted(run.doubts):
            index = run.places.index(place)
            (message,) = self.messages.fetch(run.subject, [place])
            if message is not None:
                taken, number = taken_of(run, index, message)
                if taken.problem is not None:
                    spoil(run, place, number, taken.problem)
                    run.spoil(place, taken.problem)
                    return
            self._catalogue.trust(run.name, place)

    def _tell_bad(self, name: str, problem: str) -> None:
        text = f"{bad_text(name, problem)}: 'hvobs nats verify' says more"
        self._tell_once(text, self.context.notice)

    def _tell_once(self, text: str, tell: Callable[[str], object]) -> None:
        if text not in self._told:
            self._told.add(text)
            tell(text)


def _sound(found: Iterator[Entry], limit: int, spoiled: Mapping[str, int]) -> list[Entry]:
    """Give the first *limit* entries, none from where a run was found to be spoiled."""
    kept: list[Entry] = []
    while len(kept) < limit:
        more = list(islice(found, limit - len(kept)))
        if not more:
            break
        # What is wrong with a run may be found out behind its newest events.
        kept = [one for one in (*kept, *more) if not _is_spoiled(one, spoiled)]
    return kept


def _is_spoiled(entry: Entry, spoiled: Mapping[str, int]) -> bool:
    number = spoiled.get(entry.run)
    return number is not None and entry.sequence >= number
