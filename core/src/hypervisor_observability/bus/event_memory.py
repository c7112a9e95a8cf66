"""How much memory events hold: measured for some of a batch, extrapolated to the rest.

Measuring each event would cost as much as emitting it. A rough figure for each, its keys
counted and what is large weighed, says how far the sample stands for the others.
"""

import sys
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Any

from attrs import define, field, frozen

from ..events.event import HypervisorEvent, raw_ids, raw_payload
from ..events.frozen_containers import FrozenDict, FrozenList

_EVENT_BYTES = 400
_KEY_BYTES = 80
_PLACE_BYTES = 8
"""Of an event in the list that holds it."""

_CONTAINERS = frozenset({dict, FrozenDict, FrozenList, tuple, frozenset})
# An object is referred to by its event, and by two places of ``held_bytes``; a few more may be
# the caller's, who is about to let go. With more, others share it.
_OWN_REFERENCES = 2
_FEW_REFERENCES = 6

_FEW_EVENTS = 3
_SAMPLE_SHARE = 1_024


def held_bytes(event: HypervisorEvent, *, shared: bool = True) -> int:
    """Measure the memory that *event* holds, in bytes.

    Args:
        event: The event.
        shared: Whether it bears but its share of an object that many refer to, such as a key
            that the program's text has; if not, it bears all of it.
    """
    few = _FEW_REFERENCES if shared else sys.maxsize
    objects: list[Any] = [*raw_ids(event), raw_payload(event)]
    for value in objects:  # which grows meanwhile
        if type(value) in _CONTAINERS:
            objects += value
            if isinstance(value, dict):
                objects += value.values()
    each = dict(zip(map(id, objects), objects, strict=True)).values()
    del objects, value  # which refer to them too
    size = sys.getsizeof(event) + _PLACE_BYTES
    for own, references in zip(map(sys.getsizeof, each), map(sys.getrefcount, each), strict=True):
        size += own if references <= few else own // (references - _OWN_REFERENCES)
    if sys.getrefcount(event.event_type) <= few:  # a type of its own, which is an object with names
        size += sys.getsizeof(event.event_type.__dict__) + sys.getsizeof(event.event_type.name)
    return size


def rough_bytes(event: HypervisorEvent) -> int:
    """Give the rough figure of *event*, in bytes: by it a batch is divided."""
    payload = raw_payload(event)
    return _EVENT_BYTES + _KEY_BYTES * len(payload) + getattr(payload, "weight", 0)


@frozen
class Weight:
    """What a batch holds.

    Attributes:
        rough: The sum of all ``rough_bytes``.
        scale: How many bytes are held for each rough one.
        cuts: How many values of payloads were tagged or cut.
    """

    rough: int
    scale: float
    cuts: int

    @property
    def bytes(self) -> int:
        """Memory that is held, in bytes."""
        return round(self.rough * self.scale)


@define(eq=False)
class Scales:
    """Weighs batches. The sample is drawn at random, so that no pattern of events evades it.

    Attributes:
        shared: As ``held_bytes`` takes it.
    """

    shared: bool = True
    _dice: Random = field(factory=Random, init=False)

    def weigh(self, events: Sequence[HypervisorEvent]) -> Weight:
        """Weigh *events*, of which there is one at least."""
        # Every event of the process comes by here: no loop in Python but for odd payloads.
        payloads = list(map(raw_payload, events))
        plain = _EVENT_BYTES * len(payloads) + _KEY_BYTES * sum(map(len, payloads))
        count = len(events)
        size = count if count <= _FEW_EVENTS else _FEW_EVENTS + count // _SAMPLE_SHARE
        if FrozenDict not in set(map(type, payloads)):
            sample = events if size == count else self._dice.choices(events, k=size)
            return Weight(plain, self._scale_of(sample), 0)
        weights = [getattr(payload, "weight", 0) for payload in payloads]
        cuts = sum(getattr(payload, "cuts", 0) for payload in payloads)
        if size == count:
            return Weight(plain + sum(weights), self._scale_of(events), cuts)
        # By their rough figures: what is large is in the sample for certain, or nearly so.
        rough = [_EVENT_BYTES + _KEY_BYTES * len(payload) for payload in payloads]
        bounds = list(accumulate(map(int.__add__, rough, weights)))
        sample = self._dice.choices(events, cum_weights=bounds, k=size)
        scales = (self._held(event) / rough_bytes(event) for event in sample)
        return Weight(bounds[-1], sum(scales) / size, cuts)

    def fitting(
        self, events: Sequence[HypervisorEvent], max_bytes: int
    ) -> tuple[Sequence[HypervisorEvent], Weight]:
        """Give as many of *events* as hold at most *max_bytes*, but one at least; weighed."""
        weight = self.weigh(events)
        if weight.bytes <= max_bytes or len(events) == 1:
            return events, weight
        sizes = list(accumulate(map(rough_bytes, events)))
        events = events[: max(1, bisect(sizes, max_bytes / weight.scale))]
        return events, self.weigh(events)

    def _scale_of(self, sample: Sequence[HypervisorEvent]) -> float:
        return sum(map(self._held, sample)) / sum(map(rough_bytes, sample))

    def _held(self, event: HypervisorEvent) -> int:
        return held_bytes(event, shared=self.shared)
