"""What is known of sagas beside their open spans."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from attrs import astuple, define, field

from .identity import SpanIdentity

MAX_ENDED = 1_000
"""Sagas of which it is remembered that they have ended, for parts that come late."""
MAX_FINISHED = 100_000
"""Finished parts that are remembered for links, over all sagas that are open."""

Part = tuple[str, str]
"""The kind of a saga's part, and its id within the saga."""


class FinishedPart(NamedTuple):  # one is made for each part, and a tuple in half the time
    """A part of a saga that has ended, for links to it.

    Attributes:
        trace_id: Its trace.
        span_id: Its span.
        outcome: ``committed``, ``failed`` or ``handed_over``, or a compensation's phase.
    """

    trace_id: str
    span_id: str
    outcome: str


@define(eq=False)
class Saga:
    """What is known of a saga.

    Attributes:
        identity: The ids of its span.
        created: Whether its creation was seen.
        end_ns: When it ended; 0 while it goes on.
        finished: Its parts that have ended.
        failed_step: The trace and span of the step that failed last.
    """

    identity: SpanIdentity
    created: bool
    end_ns: int = 0
    finished: OrderedDict[Part, FinishedPart] = field(factory=OrderedDict)
    failed_step: tuple[str, str] | None = None

    def state(self) -> list[Any]:
        """Give it as plain JSON."""
        return [
            list(astuple(self.identity)),
            self.created,
            self.end_ns,
            [[*part, *done] for part, done in self.finished.items()],
            None if self.failed_step is None else list(self.failed_step),
        ]

    @classmethod
    def from_state(cls, state: list[Any]) -> "Saga":
        """Give the saga whose ``state()`` was *state*."""
        identity, created, end_ns, finished, failed = state
        return cls(
            SpanIdentity(*identity),
            created,
            end_ns,
            OrderedDict(((kind, part), FinishedPart(*done)) for kind, part, *done in finished),
            None if failed is None else (failed[0], failed[1]),
        )


@define(eq=False)
class SagaMemory:
    """The sagas that go on, and the newest of those that have ended.

    Attributes:
        going_on: By their ids, those that began first coming first.
        ended: Likewise, those that ended first coming first.
    """

    going_on: OrderedDict[str, Saga] = field(factory=OrderedDict)
    ended: OrderedDict[str, Saga] = field(factory=OrderedDict)
    _finished: int = 0

    def get(self, saga_id: str) -> Saga | None:
        """Give a saga, whether it goes on or has ended."""
        return self.going_on.get(saga_id) or self.ended.get(saga_id)

    def remember(self, saga: Saga, part: Part, done: FinishedPart) -> None:
        """Note that a part has ended, for links to it; most of them only while its saga goes on."""
        if part[0] == "step" and done.outcome == "failed":
            saga.failed_step = (done.trace_id, done.span_id)
        if saga.end_ns:
            return
        if part in saga.finished:
            saga.finished.move_to_end(part)
        else:
            self._finished += 1
        saga.finished[part] = done
        while self._finished > MAX_FINISHED:
            oldest = next(one for one in self.going_on.values() if one.finished)
            oldest.finished.popitem(last=False)
            self._finished -= 1

    def forget(self, saga_id: str) -> Saga:
        """Take out a saga that goes on."""
        saga = self.going_on.pop(saga_id)
        self._finished -= len(saga.finished)
        return saga

    def close(self, saga_id: str, end_ns: int) -> str | None:
        """Note that a saga has ended; give the one that is forgotten for it."""
        saga = self.forget(saga_id)
        saga.finished.clear()
        saga.end_ns = max(1, end_ns)
        self.ended[saga_id] = saga
        return None if len(self.ended) <= MAX_ENDED else self.ended.popitem(last=False)[0]

    def state(self) -> dict[str, Any]:
        """Give what is known as plain JSON."""
        return {
            "sagas": [[saga_id, saga.state()] for saga_id, saga in self.going_on.items()],
            "ended": [[saga_id, saga.state()] for saga_id, saga in self.ended.items()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know again what ``state()`` gave."""
        for sagas, saved in ((self.going_on, state["sagas"]), (self.ended, state["ended"])):
            sagas.update((saga_id, Saga.from_state(saga)) for saga_id, saga in saved)
        self._finished = sum(len(saga.finished) for saga in self.going_on.values())
