"""Words, searched for in the text of events."""

import json
from collections.abc import Sequence
from typing import Any

from attrs import field, frozen

from ..causality.traceparent import narrow_trace
from ..events.event import HypervisorEvent
from ..stores import trace_of

MAX_PAYLOAD_CHARACTERS = 64 * 1024
"""So much of an event's payload is searched, as JSON; hardly any has more."""

_BETWEEN = "\0"  # no word goes across


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, set | frozenset) else str(value)


# By far the fastest way to the text of a payload: a page searches all that it holds.
_json = json.JSONEncoder(ensure_ascii=False, check_circular=False, default=_plain).encode


@frozen
class Words:
    """Words to search for, without difference between capitals and small letters.

    They are found in an event's type and ids, in its agent's name, and in the keys and values of
    its payload. ``key=value`` finds a key that has this value, or one that begins so, as the line
    of an event has it.

    Attributes:
        texts: The words; one may hold spaces.
    """

    texts: Sequence[str]
    _forms: Sequence[tuple[str, Sequence[str]]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        forms = [(text, tuple(one.casefold() for one in _forms_of(text))) for text in self.texts]
        object.__setattr__(self, "_forms", forms)

    def are_in(self, event: HypervisorEvent, agent_name: str) -> bool:
        """Tell whether all are found in *event*; the first that is not ends the search.

        Args:
            event: Where to look.
            agent_name: The name of its agent; empty where none is known.
        """
        searched = _searched(event, agent_name)
        return all(any(one in searched for one in forms) for _, forms in self._forms)

    def missing(self, event: HypervisorEvent, agent_name: str) -> Sequence[str]:
        """Give the words that are not found in *event*.

        Args:
            event: Where to look.
            agent_name: The name of its agent; empty where none is known.
        """
        searched = _searched(event, agent_name)
        return [text for text, forms in self._forms if not any(one in searched for one in forms)]


def _forms_of(text: str) -> Sequence[str]:
    """Give how a word may stand in what is searched: as it is, in JSON, as a pair in JSON."""
    in_json = _json(text)[1:-1]
    key, sign, value = in_json.partition("=")
    return (text, in_json, f'"{key}": "{value}', f'"{key}": {value}') if sign else (text, in_json)


def _searched(event: HypervisorEvent, agent_name: str) -> str:
    try:
        payload = _json(event.payload)
    except TypeError:  # JSON has no such key
        payload = _json(event.to_dict()["payload"])
    trace = trace_of(event) or ""
    parts = (
        event.event_type.value,
        event.event_id,
        event.agent_did or "",
        agent_name,
        event.session_id or "",
        event.causal_trace_id or "",
        trace,
        narrow_trace(trace) or "",
        payload[:MAX_PAYLOAD_CHARACTERS],
    )
    return _BETWEEN.join(parts).casefold()
