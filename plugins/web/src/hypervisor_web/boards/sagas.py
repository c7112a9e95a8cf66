"""Sagas in lanes: what runs, what was undone, what somebody has to look at, what is done."""

from collections import OrderedDict
from typing import Any

from attrs import define, field

from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.facts import payload_facts, saga_facts
from hypervisor_observability.report.sagas import Piece, SagaStory, tell_saga
from hypervisor_observability.stores import Entry, trace_of
from hypervisor_web.boards.plain import MOST_CHARACTERS, has_words, microseconds

MOST_SAGAS = 1_000
"""Most sagas that are kept: those told of last, those that run before those that have ended."""
MOST_IN_LANE = 100
"""Most sagas of a lane that are shown: the newest."""

LANES = ("running", "compensated", "escalated", "failed", "committed", payload_facts.ERASED)
"""How a saga may stand, in the words of ``SagaStory.outcome``."""


@define(eq=False)
class SagasBoard:
    """The sagas.

    Attributes:
        running: Those that run by their ids, the one told of last at the end.
        ended: The others, likewise.
        left_out: How many had to go for newer ones.
        version: Grows with each event that changes anything.
    """

    running: OrderedDict[str, SagaStory] = field(factory=OrderedDict)
    ended: OrderedDict[str, SagaStory] = field(factory=OrderedDict)
    left_out: int = 0
    version: int = 0

    def take(self, entry: Entry, position: int) -> None:  # noqa: ARG002 - as all boards
        """Look at an event."""
        event = entry.event
        if event.event_type not in saga_facts.SAGA_TYPES:
            return
        self.version += 1
        name = saga_facts.saga_id(event)[:MOST_CHARACTERS]
        saga = self.running.pop(name, None) or self.ended.pop(name, None)
        if saga is None or _begins_again(saga, event):
            saga = SagaStory(name, event.timestamp_ns, trace=trace_of(event))
        tell_saga(saga, event)
        (self.running if saga.outcome == "running" else self.ended)[name] = saga
        if len(self.running) + len(self.ended) > MOST_SAGAS:
            (self.ended or self.running).popitem(last=False)
            self.left_out += 1

    def told(self, words: list[str]) -> dict[str, Any]:
        """Tell of all of them in plain data, lane by lane, each the newest first.

        Args:
            words: Only those in which all of these are found, in small letters.
        """
        lanes: dict[str, dict[str, Any]] = {
            lane: {"lane": lane, "count": 0, "sagas": []} for lane in LANES
        }
        for sagas in (self.running, self.ended):
            for saga in reversed(sagas.values()):
                if words and not has_words(words, *_texts(saga)):
                    continue
                lane = lanes[saga.outcome]
                lane["count"] += 1
                if lane["count"] <= MOST_IN_LANE:
                    lane["sagas"].append(_told(saga))
        return {"lanes": list(lanes.values()), "left_out": self.left_out}


def _begins_again(saga: SagaStory, event: HypervisorEvent) -> bool:
    """Tell whether another saga with the same id begins."""
    if event.event_type != EventType.SAGA_CREATED:
        return False
    # Where its process was killed, nobody told the end of the former one.
    return saga.outcome != "running" or saga.trace not in {None, trace_of(event)}


def _texts(saga: SagaStory) -> list[str]:
    return [saga.name, saga.title, saga.outcome, saga.reason, *(one.title for one in saga.pieces)]


def _told(saga: SagaStory) -> dict[str, Any]:
    ended = saga.outcome != "running"
    return {
        "id": saga.name,
        "title": saga.title,
        "undoing": saga.undoing and not ended,
        "reason": saga.reason,
        "trace": saga.trace,
        "begun": microseconds(saga.begun_ns),
        "seen": microseconds(saga.ended_ns),
        "ended": microseconds(saga.ended_ns) if ended else None,
        "pieces": [_piece(one) for one in saga.pieces],
        "left_out": saga.left_out,
    }


def _piece(piece: Piece) -> list[Any]:
    return [piece.title, piece.state, microseconds(piece.begun_ns), microseconds(piece.ended_ns)]
