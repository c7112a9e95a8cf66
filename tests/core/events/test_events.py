import copy
import json
import math
import pickle  # noqa: TID251 - that it works is promised
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unittest.mock import MagicMock

import attrs
import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.events.event import HypervisorEvent, raw_payload
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.events.timestamps import nanoseconds
from tests.threads import run_in_threads

FIELDS = [
    "event_id",
    "event_type",
    "timestamp",
    "session_id",
    "agent_did",
    "causal_trace_id",
    "parent_event_id",
    "payload",
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=15,
)
TIMES = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - as hypothesis wants it
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001 - likewise
    timezones=st.timezones(),
)
EVENTS = st.builds(
    HypervisorEvent,
    event_type=st.sampled_from(EventType) | st.just(EventType.custom("acme.invoice_paid")),
    timestamp=TIMES,
    session_id=st.none() | st.text(max_size=10),
    agent_did=st.none() | st.text(max_size=10),
    causal_trace_id=st.none() | st.text(max_size=10),
    parent_event_id=st.none() | st.text(max_size=10),
    payload=st.dictionaries(st.text(max_size=8), JSON_LIKE, max_size=4),
)


def payload_cuts(event: HypervisorEvent) -> int:
    return getattr(raw_payload(event), "cuts", 0)


def make_full() -> HypervisorEvent:
    return HypervisorEvent(
        "e1", EventType.VFS_WRITE, NOON, "s", "a", "t/s", "e0", {"path": "/x", "in": [1, {"k": 2}]}
    )


# Construction


def test_fields_stand_in_their_order_and_can_be_given_by_position() -> None:
    event = make_full()

    assert [attribute.name for attribute in attrs.fields(HypervisorEvent)] == FIELDS
    assert [getattr(event, name) for name in FIELDS] == [
        "e1",
        EventType.VFS_WRITE,
        NOON,
        "s",
        "a",
        "t/s",
        "e0",
        {"path": "/x", "in": [1, {"k": 2}]},
    ]


def test_defaults() -> None:
    before = time.time()
    event = HypervisorEvent()

    assert event.event_type is EventType.SESSION_CREATED
    assert len(event.event_id) == 16
    assert int(event.event_id, 16) > 0
    assert event.timestamp.tzinfo is UTC
    assert abs(event.timestamp.timestamp() - before) < 60
    assert event.payload == {}
    for name in ("session_id", "agent_did", "causal_trace_id", "parent_event_id"):
        assert getattr(event, name) is None


def test_ids_are_unique() -> None:
    assert len({HypervisorEvent().event_id for _ in range(10_000)}) == 10_000


def test_default_times_never_run_backwards() -> None:
    times = [HypervisorEvent().timestamp_ns for _ in range(1_000)]

    assert times == sorted(times)


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")


class TextOfItsOwn(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.fault("C13")
@pytest.mark.parametrize(
    ("given_id", "kept"),
    [
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (5, "5"),
        (Rude(), "<Rude>"),
        (TextOfItsOwn("x"), "x"),
        (EventType.VFS_WRITE, "vfs.write"),
    ],
)
def test_id_of_another_type_is_kept_as_text(given_id: Any, kept: str) -> None:
    event = HypervisorEvent(given_id, EventType.VFS_WRITE, None, given_id, given_id, given_id)
    for name in ("event_id", "session_id", "agent_did", "causal_trace_id"):
        assert getattr(event, name) == kept
        assert type(getattr(event, name)) is str


@pytest.mark.fault("C13")
def test_mock_that_passes_for_anything_is_no_such_thing() -> None:
    event = HypervisorEvent(
        event_id=MagicMock(spec=str),
        event_type=MagicMock(spec=EventType),
        session_id=MagicMock(spec=str),
        payload=MagicMock(spec=dict),
    )

    json.dumps(event.to_dict())


def test_type_of_another_enumeration_or_a_string_becomes_ours() -> None:
    by_value: Any = "ring.assigned"

    assert HypervisorEvent(event_type=by_value).event_type is EventType.RING_ASSIGNED


# Time


@pytest.mark.fault("C15")
@pytest.mark.parametrize(
    "bad",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001 - naive is what is tested
        "2026-01-01T00:00:00+00:00",
        b"0",
        math.nan,
        math.inf,
        -math.inf,
        True,
        False,
        10**400,
        -(10**400),
        1e300,
        1e18,
        -62_135_596_801,
        253_402_300_800,
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-14))),
        NOON.date(),
        [1],
        1j,
    ],
    ids=lambda bad: f"{type(bad).__name__}-{str(bad)[:12]}" if not isinstance(bad, int) else "int",
)
def test_bad_timestamp_is_refused_at_construction(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"timestamp"):
        HypervisorEvent(timestamp=bad)
    with pytest.raises(ValueError, match=r"timestamp"):
        nanoseconds(bad)


@pytest.mark.fault("C15")
@pytest.mark.parametrize(
    ("timestamp", "read"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1.5, datetime(1969, 12, 31, 23, 59, 58, 500_000, tzinfo=UTC)),
        (1_767_355_200.123456, NOON + timedelta(microseconds=123_456)),
        (-62_135_596_800, datetime(1, 1, 1, tzinfo=UTC)),
        (253_402_300_799, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)),
        (datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
        (NOON.astimezone(timezone(timedelta(hours=5, minutes=30))), NOON),
        (
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=-14))),
            datetime(1, 1, 1, 14, tzinfo=UTC),
        ),
    ],
)
def test_timestamp_is_read_as_utc_to_the_microsecond(
    timestamp: datetime | float, read: datetime
) -> None:
    event = HypervisorEvent(timestamp=timestamp)

    assert event.timestamp == read
    assert event.timestamp.tzinfo is UTC
    assert event.timestamp_ns == (read - EPOCH) // timedelta(microseconds=1) * 1_000
    assert HypervisorEvent.from_dict(event.to_dict()).timestamp == read


@pytest.mark.fault("C15")
@given(TIMES)
def test_instant_is_kept_whatever_the_time_zone(timestamp: datetime) -> None:
    event = HypervisorEvent(timestamp=timestamp)

    assert event.timestamp == timestamp.astimezone(UTC)
    assert event.timestamp_ns == nanoseconds(timestamp)


@pytest.mark.fault("C15")
@given(st.floats() | st.integers())
def test_number_is_a_time_or_a_value_error(number: float) -> None:
    try:
        event = HypervisorEvent(timestamp=number)
    except ValueError:
        return
    assert abs(event.timestamp.timestamp() - number) < 0.001
    json.dumps(event.to_dict())


# Identity and immutability


def test_events_are_equal_and_hashable_by_id() -> None:
    event = make_full()
    other = HypervisorEvent(event_id="e1")

    assert event == other
    assert hash(event) == hash(other)
    assert event != HypervisorEvent()
    assert event != "e1"
    assert len({event, other}) == 1


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_can_be_assigned_or_deleted(name: str) -> None:
    event = make_full()
    before = event.to_dict()
    with pytest.raises(FrozenInstanceError):
        setattr(event, name, "x")
    with pytest.raises(FrozenInstanceError):
        delattr(event, name)
    assert event.to_dict() == before


def test_no_attribute_can_be_added() -> None:
    with pytest.raises(AttributeError):
        make_full().extra = 1  # type: ignore[attr-defined]  # what is tested
    assert not hasattr(make_full(), "__dict__")


@pytest.mark.fault("C19")
@pytest.mark.parametrize("name", ["event_id", "timestamp", "payload"])
def test_object_setattr_does_not_reach_what_is_converted_when_read(name: str) -> None:
    event = make_full()
    with pytest.raises(FrozenInstanceError):
        object.__setattr__(event, name, "x")
    assert getattr(event, name) == getattr(make_full(), name)


@pytest.mark.fault("C19")
def test_payload_does_not_follow_the_original_nor_what_was_given_out() -> None:
    original: dict[str, Any] = {"flat": 1, "in": [1, {"k": 2}]}
    flat = {"flat": 1}
    event, simple = HypervisorEvent(payload=original), HypervisorEvent(payload=flat)
    before = event.to_dict()
    original["in"][1]["k"] = 3
    flat["flat"] = 2
    given_out = event.to_dict()
    given_out["payload"]["in"][1]["k"] = 4
    attrs.asdict(event)["payload"]["flat"] = 5

    assert event.to_dict() == before
    assert simple.payload == {"flat": 1}
    for payload in (event.payload, simple.payload):
        with pytest.raises(TypeError, match="read-only"):
            payload["flat"] = 9  # type: ignore[index]  # what is tested


def test_class_is_final_and_says_so() -> None:
    assert HypervisorEvent.__final__ is True  # type: ignore[attr-defined]  # set by @final


# Copies


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_gives_the_event_back(protocol: int) -> None:
    for event in (make_full(), HypervisorEvent(payload={"odd": object()})):
        again = pickle.loads(pickle.dumps(event, protocol))  # noqa: S301 - written in this line

        assert type(again) is HypervisorEvent
        assert again == event
        assert again.to_dict() == event.to_dict()
        assert payload_cuts(again) == payload_cuts(event)


def test_copies_are_the_event_itself() -> None:
    event = make_full()

    assert copy.copy(event) is copy.deepcopy(event) is event


def test_evolve_changes_what_is_named_alone() -> None:
    event = make_full()
    changes: dict[str, Any] = {"session_id": "s2", "payload": {"new": [1]}}
    other = attrs.evolve(event, **changes)

    assert other.to_dict() == {**event.to_dict(), "session_id": "s2", "payload": {"new": [1]}}
    assert event.session_id == "s"


def test_asdict_and_repr_see_what_readers_see() -> None:
    event = HypervisorEvent(payload={"a": [1]})

    assert attrs.asdict(event) == {name: getattr(event, name) for name in FIELDS}
    assert event.event_id in repr(event)
    assert "datetime.datetime(" in repr(event)


def test_to_dict_has_the_eight_keys_in_order() -> None:
    assert list(make_full().to_dict()) == FIELDS
    assert make_full().to_dict()["event_type"] == "vfs.write"
    assert type(make_full().to_dict()["event_type"]) is str
    assert make_full().to_dict()["timestamp"] == "2026-01-02T12:00:00+00:00"


@given(EVENTS)
def test_from_dict_gives_back_what_to_dict_took(event: HypervisorEvent) -> None:
    for values in (event.to_dict(), json.loads(json.dumps(event.to_dict()))):
        again = HypervisorEvent.from_dict(values)

        assert again == event
        assert again.to_dict() == event.to_dict()
        assert again.event_type == event.event_type
        assert again.timestamp == event.timestamp
        assert again.payload == event.payload


def test_from_dict_takes_the_three_required_keys_alone_and_leaves_others_aside() -> None:
    values = {"event_id": "e", "event_type": "acme.new", "timestamp": "2026-01-02T12:00:00Z"}
    event = HypervisorEvent.from_dict({**values, "colour": "red"})

    assert event.event_type == EventType.custom("acme.new")
    assert event.timestamp == NOON
    assert event.payload == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("event_id", None),
        ("event_id", 5),
        ("event_type", None),
        ("timestamp", 0),
        ("timestamp", "yesterday"),
        ("timestamp", "2026-01-02T12:00:00"),
    ],
)
def test_from_dict_refuses_a_bad_value(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"event_|timestamp|isoformat"):
        HypervisorEvent.from_dict({**make_full().to_dict(), key: value})


@pytest.mark.parametrize("key", ["event_id", "event_type", "timestamp"])
def test_from_dict_names_the_key_that_is_missing(key: str) -> None:
    values = make_full().to_dict()
    del values[key]
    with pytest.raises(ValueError, match=key):
        HypervisorEvent.from_dict(values)


def test_lazy_fields_are_the_same_for_all_threads_that_read_first() -> None:
    for _ in range(50):
        event = HypervisorEvent(payload={"a": 1})
        seen: list[tuple[str, object]] = []
        gate = threading.Barrier(4)

        def read(event: HypervisorEvent = event, gate: threading.Barrier = gate) -> None:
            gate.wait(10)
            seen.append((event.event_id, event.payload))  # noqa: B023 - the threads end below

        run_in_threads(*[read] * 4)
        assert seen == [seen[0]] * 4


# What the log asks


def test_cuts_are_told() -> None:
    assert payload_cuts(HypervisorEvent(payload={"a": 1})) == 0
    assert payload_cuts(HypervisorEvent(payload={"a": object(), "b": [object()]})) == 2


@given(st.integers(min_value=-(10**19), max_value=2 * 10**20))
def test_timestamp_is_exact_to_the_microsecond(timestamp_ns: int) -> None:
    seconds, rest = divmod(timestamp_ns, 1_000_000_000)
    exact = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        seconds=seconds, microseconds=rest // 1_000
    )

    event = HypervisorEvent(timestamp=exact)

    assert event.timestamp == exact
    assert event.timestamp_ns == timestamp_ns // 1_000 * 1_000
