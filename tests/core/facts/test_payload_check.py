"""Payloads are checked against one table of keys by type."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.errors import ObservabilityError
from hypervisor_observability.events import event_types
from hypervisor_observability.events.frozen_containers import erased_payload
from hypervisor_observability.facts.payload_check import payload_problems
from hypervisor_observability.facts.payload_keys import EVENTS, KEPT, PAYLOAD_KEYS, READ
from hypervisor_observability.testing import check_payloads

OURS = {
    value.value
    for name, value in vars(event_types).items()
    if name.isupper() and isinstance(value, EventType)
}
WRONG: dict[str, Any] = {
    "amount": -1,
    "attributes": {"nested": {}},
    "count": 1.5,
    "flag": "maybe",
    "list": "one",
    "name": 1.5,
    "number": True,
    "ring": 256,
    "word": 3,
}


def event(kind: str, /, **payload: Any) -> HypervisorEvent:
    return HypervisorEvent(event_type=EventType.of(kind), payload=payload)


def names_of(kind: str) -> list[str]:
    return [one.partition("=")[0].rstrip("!") for one in EVENTS[kind].split()]


def test_table_has_every_type_of_ours_and_no_other() -> None:
    assert len(OURS) == 10
    assert EVENTS.keys() == {kind.value for kind in EventType} | OURS


def test_every_key_is_in_some_event_and_says_what_it_holds() -> None:
    assert {name for kind in EVENTS for name in names_of(kind)} == PAYLOAD_KEYS.keys()
    # One key holds one thing: no name stands twice.
    listed = [name for table in (READ, KEPT) for names in table.values() for name in names.split()]
    assert len(listed) == len(set(listed)) == len(PAYLOAD_KEYS)


@pytest.mark.parametrize("kind", EVENTS)
def test_no_event_has_a_key_twice(kind: str) -> None:
    assert len(names_of(kind)) == len(set(names_of(kind)))


@pytest.mark.parametrize("kind", EVENTS)
def test_each_key_is_refused_with_a_value_that_it_does_not_hold(kind: str) -> None:
    for name in names_of(kind):
        holds = PAYLOAD_KEYS[name].kind
        if holds != "text":
            problems = payload_problems(event(kind, **{name: WRONG[holds]}))
            assert any(one.startswith(f"{kind}: {name}: expected") for one in problems), name


def test_key_of_another_type_is_refused() -> None:
    (problem,) = payload_problems(event("vfs.write", path="a", saga_id="g"))

    assert problem.startswith("vfs.write: saga_id: not a key of this type")


@pytest.mark.parametrize("kind", EVENTS)
def test_every_event_may_have_attributes_of_the_users_own(kind: str) -> None:
    problems = payload_problems(event(kind, attributes={"team": "blue"}))

    assert not [one for one in problems if "attributes" in one]


def test_key_that_must_be_there_is_missed() -> None:
    assert payload_problems(event("tool.finished", tool_name="search")) == [
        "tool.finished: status: missing"
    ]


def test_word_that_is_none_of_the_known_ones_is_refused() -> None:
    finished = {"tool_name": "search", "status": "done"}

    assert payload_problems(event("tool.finished", **finished)) == [
        "tool.finished: status: expected ok or error or blocked or cancelled or expired, got 'done'"
    ]


def test_events_of_users_say_what_they_like() -> None:
    assert payload_problems(event("acme.invoice_paid", whatever=[{}])) == []


def test_erased_payload_is_no_mistake() -> None:
    kind = EventType.of("tool.finished")

    assert payload_problems(HypervisorEvent(event_type=kind, payload=erased_payload())) == []


def test_strict_mode_raises_with_every_problem_once() -> None:
    wrong = event("agent.finished", status="done", extra=1)

    with pytest.raises(ObservabilityError) as caught:
        check_payloads([wrong, wrong])

    assert str(caught.value).splitlines()[0] == "2 problems with payloads"


def test_warn_mode_logs_and_off_does_not_look(caplog: pytest.LogCaptureFixture) -> None:
    wrong = event("agent.finished", status="done")

    with caplog.at_level(logging.WARNING):
        assert check_payloads([wrong], "off") == []
        assert caplog.text == ""
        assert len(check_payloads([wrong], "warn")) == 1

    assert "agent.finished: status" in caplog.text
    with pytest.raises(ValueError, match="mode"):
        check_payloads([wrong], "loud")  # type: ignore[arg-type]  # on purpose


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)


@given(
    kind=st.sampled_from(sorted(EVENTS)),
    payload=st.dictionaries(st.sampled_from(sorted(PAYLOAD_KEYS)) | st.text(max_size=3), ODD),
)
def test_checking_never_raises(kind: str, payload: dict[str, Any]) -> None:
    for problem in payload_problems(event(kind, **payload)):
        assert problem.startswith(f"{kind}: ")
