from typing import Any

import pytest

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.events.event_types import TOOL_FINISHED
from hypervisor_observability.search.filter_text import parse
from hypervisor_observability.search.searched_text import MAX_PAYLOAD_CHARACTERS, searched_text
from hypervisor_observability.stores import trace_key

_TRACE = "da557855c5a8"


def _finished(**payload: Any) -> HypervisorEvent:
    return HypervisorEvent(
        event_type=TOOL_FINISHED,
        agent_did="did:mesh:payer",
        session_id="Checkout-42",
        causal_trace_id=f"{_TRACE}/00000001",
        payload={"tool_name": "charge", **payload},
    )


@pytest.mark.parametrize(
    "filter_text",
    [
        "tool.finished",
        "MESH:payer",
        "checkout-42",
        f"{_TRACE}/00000001",
        trace_key(_TRACE),
        "Charge",
        '"charge status=error"',
        "DECLINED card",
        "amount 12.5",
        "true null inner",
        "größe STRASSE",
        "--text charge error",
        "--wrong charge",
    ],
)
def test_words_are_found_wherever_they_stand(filter_text: str) -> None:
    event = _finished(
        status="error",
        error="card declined",
        attributes={"amount": 12.5, "deep": [{"inner": (True, None)}], "GRÖSSE": "Straße"},
    )

    assert parse(filter_text).covers(event)


@pytest.mark.parametrize("filter_text", ["charge absent", "--text declined", "chargecard"])
def test_all_words_must_be_there(filter_text: str) -> None:
    assert not parse(filter_text).covers(_finished(error="card refused"))


def test_words_do_not_reach_from_one_value_into_the_next() -> None:
    event = _finished(attributes={"one": "ab", "two": "cd"})

    assert not parse("abcd").covers(event)


def test_agent_is_found_by_the_name_it_joined_under() -> None:
    choice = parse("'the payer'")
    joined = HypervisorEvent(
        event_type=EventType.SESSION_JOINED,
        agent_did="did:mesh:payer",
        payload={"name": "The Payer"},
    )
    choice.covers(joined)

    assert choice.covers(_finished())


def test_only_what_went_wrong_is_chosen() -> None:
    choice = parse("--wrong")

    assert choice.covers(_finished(status="error"))
    assert not choice.covers(_finished(status="ok"))
    assert not choice.covers(HypervisorEvent(event_type=EventType.SAGA_CREATED))


def test_huge_payload_is_searched_to_its_bound() -> None:
    long = "x" * (MAX_PAYLOAD_CHARACTERS // 8)
    event = _finished(attributes=[*[long] * 20, "needle"])

    assert len(searched_text(event, "")) < 2 * MAX_PAYLOAD_CHARACTERS
