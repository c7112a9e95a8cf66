"""The text of an event in which words are searched for."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..causality.traceparent import narrow_trace
from ..events.event import HypervisorEvent
from ..stores import trace_of
from .one_line import summary

MAX_PAYLOAD_CHARACTERS = 64 * 1024
"""So much of an event's payload is searched. None has more unless another program wrote it."""

_BETWEEN = "\0"  # no word goes across


def searched_text(event: HypervisorEvent, agent_name: str) -> str:
    """Give what can be found of *event*, without difference between capitals and small letters.

    That is its type, its ids, its agent's name, what its line says, and the keys and values of its
    payload.
    """
    trace = trace_of(event) or ""
    parts = [
        event.event_type.value,
        event.event_id,
        event.agent_did or "",
        agent_name,
        event.session_id or "",
        event.causal_trace_id or "",
        trace,
        narrow_trace(trace) or "",
        summary(event),
        *_texts(event.payload),
    ]
    return _BETWEEN.join(parts).casefold()


def _texts(payload: Mapping[Any, Any]) -> Iterator[str]:
    """Give the keys and values as text, to the bound."""
    room = MAX_PAYLOAD_CHARACTERS
    waiting: list[Any] = [payload]
    while waiting and room > 0:
        one = waiting.pop()
        if isinstance(one, Mapping):
            for key, value in one.items():
                waiting += (value, key)
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += one
        else:
            text = (one if isinstance(one, str) else _plain(one))[:room]
            room -= len(text) + 1
            yield text


def _plain(value: object) -> str:
    if value is None:
        return "null"
    return str(value)
