"""Whatever a payload holds, what is recorded of it is as the table of payloads has it."""

from collections import UserDict
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_agent_hypervisor.values import fitting, moment, seconds_between, word
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.facts.payload_check import payload_problems
from hypervisor_observability.facts.payload_keys import PAYLOAD_KEYS

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS | st.builds(object) | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from([*PAYLOAD_KEYS, "team", "password", ""])


@given(st.sampled_from(EventType), st.dictionaries(KEYS, VALUES, max_size=6))
def test_payload_fits_whatever_it_held(kind: EventType, payload: dict[str, Any]) -> None:
    kept = dict(payload)

    found = fitting(kind.value, payload)

    assert payload_problems(HypervisorEvent(event_type=kind, payload=found)) == []
    assert payload.keys() == kept.keys()  # it is the application's
    assert None not in found.values()


def test_names_of_secrets_stay_names() -> None:
    payload = {"login": {"password": "hunter2", "deep": {"token": "t"}}, "attributes": {"a": 1}}

    assert fitting("vfs.write", payload) == {
        "attributes": {"a": 1, "login.password": "hunter2", "login.deep.token": "t"}
    }


def test_endless_payload_ends() -> None:
    endless: dict[str, Any] = {"x": 1}
    endless["endless"] = endless

    found = fitting("vfs.write", {"more": endless, **{f"key-{one}": one for one in range(200)}})

    assert len(found["attributes"]) == 64


def test_mapping_of_another_kind_is_read_as_one() -> None:
    assert fitting("vfs.write", {"more": UserDict(a=1)}) == {"attributes": {"more.a": 1}}


class Ring(int, Enum):
    INNER = 0


def test_member_of_an_enumeration_is_its_value() -> None:
    assert word(Ring.INNER) == 0
    assert type(word(Ring.INNER)) is int
    assert word("plain") == "plain"


@pytest.mark.parametrize(
    ("begin", "end", "seconds"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 1, tzinfo=UTC), 60),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC), 0),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1), None),  # noqa: DTZ001 - naive
        (None, datetime(2026, 1, 1, tzinfo=UTC), None),
    ],
)
def test_time_between_two_times(begin: Any, end: Any, seconds: float | None) -> None:
    assert seconds_between(begin, end) == seconds


def test_only_a_time_is_a_time() -> None:
    assert moment(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00+00:00"
    assert moment(None) is None
    assert moment("soon") is None
