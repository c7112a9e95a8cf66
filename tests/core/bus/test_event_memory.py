"""What is counted as memory is what is held."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_observability import EventType, HypervisorEventBus
from hypervisor_observability.bus.event_memory import Scales, held_bytes, rough_bytes
from hypervisor_observability.events.event import HypervisorEvent

MIB = 1024 * 1024
WIDE = "\U0001f600"
Make = Callable[[int], dict[str, Any]]


def fields(make: Make, number: int) -> dict[str, Any]:
    return {"event_type": EventType.VFS_WRITE, **make(number)}


def fresh(text: str, number: int) -> str:
    """A string that nobody else has."""
    return f"{number:08d}{text}"


KINDS: dict[str, Make] = {
    "without a payload": lambda n: {},
    "literals": lambda n: {"session_id": "s", "payload": {"i": n, "tool": "search", "ok": True}},
    "short strings": lambda n: {"payload": {f"k{j}": fresh("value", n) for j in range(5)}},
    "20 keys of 200 characters": lambda n: {
        "payload": {f"k{j}": fresh("x" * 192, n) for j in range(20)}
    },
    "wide characters": lambda n: {"payload": {f"k{j}": fresh(WIDE * 200, n) for j in range(9)}},
    "long keys": lambda n: {"payload": {fresh("k" * 240, n * 16 + j): j for j in range(16)}},
    "wide keys": lambda n: {"payload": {fresh(WIDE * 200, n): 1}},
    "a long string": lambda n: {"payload": {"text": fresh("x" * 9_000, n)}},
    "long wide strings": lambda n: {"payload": {"a": [WIDE * 3_000 + str(n)] * 2}},
    "an agent of 20,000 characters": lambda n: {"agent_did": fresh("x" * 20_000, n)},
    "a long id of each kind": lambda n: {
        name: fresh("x" * 900, n)
        for name in ("event_id", "session_id", "agent_did", "causal_trace_id", "parent_event_id")
    },
    "ids of another type": lambda n: {"session_id": UUID(int=n), "payload": {"a": n}},
    "deep containers": lambda n: {"payload": {"a": {"b": {"c": {"d": [[[[n, str(n)]]]]}}}}},
    "many small ones": lambda n: {"payload": {"rows": [[n, i, str(i)] for i in range(50)]}},
    "tuples and sets": lambda n: {"payload": {"t": (n, (n,)), "s": {fresh("a", n), n}}},
    "large integers": lambda n: {"payload": {f"k{j}": (1 << 2_000) + n + j for j in range(8)}},
    "floats": lambda n: {"payload": {f"k{j}": n / 7 + j for j in range(8)}},
    "custom types": lambda n: {"payload": {"x": object(), "e": ValueError(fresh("y" * 99, n))}},
    "types of their own": lambda n: {"event_type": EventType.of(fresh("acme.paid", n))},
}


def mixed(number: int) -> dict[str, Any]:
    """One in ten is large, in one of two ways."""
    if number % 10:
        return KINDS["literals"](number)
    return KINDS["many small ones" if number % 20 else "a long string"](number)


@pytest.fixture
def tracing() -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize("make", [*KINDS.values(), mixed], ids=[*KINDS, "mixed"])
def test_bound_of_memory_is_what_is_held_within_three_tenths(make: Make) -> None:
    bound = 2 * MIB
    bus = HypervisorEventBus(max_bytes=bound)
    assert bus.event_count == 0
    before, _ = tracemalloc.get_traced_memory()
    number = 0
    while not bus.log.dropped_for_memory:
        for _ in range(200):
            bus.record(**fields(make, number))
            number += 1
        assert bus.event_count
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    # A sixteenth goes at once.
    assert bound / 1.3 - bound / 16 < held < bound * 1.3, held / bound


texts = st.text(st.sampled_from("aé漢\U0001f600"), max_size=300)
values = st.recursive(
    texts | st.integers(-(2**80), 2**80) | st.floats() | st.none() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(texts, inner, max_size=6)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)
events = st.builds(
    HypervisorEvent,
    session_id=st.none() | texts,
    agent_did=st.none() | st.text("x", min_size=1_000, max_size=3_000),
    payload=st.dictionaries(texts, values, max_size=8),
)


@given(st.lists(events, min_size=1, max_size=3))
@settings(deadline=None)
def test_few_events_are_measured_each(found: list[HypervisorEvent]) -> None:
    weight = Scales().weigh(found)
    assert abs(weight.bytes - sum(map(held_bytes, found))) <= 1
    assert weight.rough == sum(map(rough_bytes, found))


@given(events)
@settings(deadline=None)
def test_measure_is_what_a_copy_takes(event: HypervisorEvent) -> None:
    values = event.to_dict()
    plain = str(values["payload"])
    assert held_bytes(event, shared=False) > 0.9 * len(plain) / 4
    assert held_bytes(event) <= held_bytes(event, shared=False)


def test_what_the_programs_text_has_is_counted_once() -> None:
    text = "x" * 5_000
    found = [HypervisorEvent(payload={"text": text}) for _ in range(1_000)]
    assert Scales().weigh(found).bytes < 1_000 * 600
    assert Scales(shared=False).weigh(found).bytes > 1_000 * 5_000


def test_one_giant_in_a_thousand_is_not_overlooked() -> None:
    scales = Scales()
    for field in ("session_id", "agent_did", "causal_trace_id", "parent_event_id", "event_id"):
        found = [HypervisorEvent(payload={"i": n}) for n in range(1_024)]
        found[700] = HypervisorEvent.from_dict({**found[700].to_dict(), field: "x" * 10_000_000})
        assert 10_000_000 / 1.3 < scales.weigh(found).bytes < 10_000_000 * 1.3 + 1_024 * 600


def test_events_that_fit_are_as_many_as_there_is_room_for() -> None:
    found = [HypervisorEvent(payload={"text": fresh("x" * 5_000, n)}) for n in range(500)]
    fitting, weight = Scales().fitting(found, 500_000)
    assert 80 <= len(fitting) <= 100
    assert abs(weight.bytes - sum(map(held_bytes, fitting))) < 50_000
    assert len(Scales().fitting(found, 1)[0]) == 1


# Which bounds hold


@pytest.mark.parametrize(("bound", "kept"), [(None, 130_000), (120_000, 120_000)])
def test_number_of_events_that_was_asked_for_is_kept(bound: int | None, kept: int) -> None:
    bus = HypervisorEventBus(max_events=bound)
    for number in range(130_000):
        bus.record(
            EventType.VFS_WRITE, payload={f"a{number}": f"{number}" + "x" * 200, "b": number / 3}
        )
    assert bus.event_count == kept
    assert bus.log.dropped_for_memory == 0
