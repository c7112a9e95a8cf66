from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.events.event_types import TOOL_FINISHED
from hypervisor_observability.search.choice import Choice
from hypervisor_observability.search.filter_text import parse
from hypervisor_observability.search.searched_text import MAX_PAYLOAD_CHARACTERS
from hypervisor_observability.stores import trace_key

_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.tuples(st.integers()) | st.text(max_size=5), inner, max_size=3),
        st.frozensets(st.text(max_size=5), max_size=3),
    ),
    max_leaves=9,
)
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
        "tool_name=charge status=error",
        "status=err",
        'error="card declined"',
        "amount=12",
        "a\\\\b 'say \"yes\"' 'two\nlines'",
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
        result='a\\b, say "yes", two\nlines',
    )

    assert parse(filter_text).covers(event)


@pytest.mark.parametrize(
    "filter_text", ["charge absent", "--text declined", "chargecard", "error=x"]
)
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
    event = _finished(attributes=["early", *[long] * 20, "late"])

    assert parse("early").covers(event)
    assert not parse("late").covers(event)


@given(st.dictionaries(st.one_of(st.text(max_size=5), st.integers(), st.none()), _values))
def test_every_text_of_a_payload_is_found_whatever_it_holds(payload: dict[Any, Any]) -> None:
    event = HypervisorEvent(event_type=TOOL_FINISHED, payload=payload)

    for text in _texts(event.payload):
        assert Choice(text=(text,)).covers(event)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(key)
            yield from _texts(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value
