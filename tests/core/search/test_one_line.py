from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.events.event_types import TOOL_FINISHED
from hypervisor_observability.events.frozen_containers import erased_payload
from hypervisor_observability.search.one_line import MAX_CHARACTERS, summary

_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=300)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=20,
)


def _event(payload: Any, event_type: EventType = TOOL_FINISHED) -> HypervisorEvent:
    return HypervisorEvent(event_type=event_type, payload=payload)


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        ({}, ""),
        ({"ring": 3}, "ring=3"),
        (
            {
                "call_id": "c-1",
                "duration_seconds": 1.23456789,
                "error": "card declined",
                "tool_name": "charge",
                "status": "error",
            },
            'charge status=error error="card declined" duration_seconds=1.23457 call_id=c-1',
        ),
        ({"tool_name": "a b"}, '"a b"'),
        ({"name": "", "model": "gpt"}, 'gpt name=""'),
        (
            {"attributes": {"tries": [1, None, True], "who": {}}},
            "attributes={tries=[1, null, true], who={}}",
        ),
        ({"answer": "two\nlines"}, r'answer="two\nlines"'),
        ({"name": "x" * 300}, "x" * 199 + "…"),
        ({"name": "abc\u202edef\x1b[31m"}, r'"abc\u202edef\u001b[31m"'),
    ],
)
def test_line_says_what_it_is_about_then_how_it_went_then_the_rest(
    payload: dict[str, Any], line: str
) -> None:
    assert summary(_event(payload)) == line


def test_erased_payload_is_called_erased() -> None:
    assert summary(_event(erased_payload())) == "(erased)"


@given(st.dictionaries(st.text(max_size=9), _values, max_size=6))
def test_line_is_short_and_harmless_whatever_the_payload(payload: dict[str, Any]) -> None:
    line = summary(_event(payload))

    assert len(line) <= MAX_CHARACTERS
    assert line.isprintable()
    assert "\n" not in line
