"""Events as records, and back: strict JSON (RFC 8259) in UTF-8."""

import json
import json.encoder
import re
from collections.abc import Callable
from typing import Any

from hypervisor_journal.format.frames import DIGEST_BYTES, Record
from hypervisor_observability.events.event import HypervisorEvent, at_nanoseconds, raw_payload
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.events.frozen_containers import erased_payload
from hypervisor_observability.events.json_values import thaw
from hypervisor_observability.threads.interruptions import is_from_handler

_MAX_DEPTH = 64
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(r"[\[\]{}]")
_BOOLEANS = {False: "false", True: "true"}
_INFINITY = float("inf")
_MAX_QUOTED = 10_000
# The standard library's own, in C where CPython has it.
_quote = json.encoder.encode_basestring
_KEYS = (
    "event_id",
    "event_type",
    "session_id",
    "agent_did",
    "causal_trace_id",
    "parent_event_id",
)


_PLAIN = r'"([^"\\\x00-\x1f]*)"'
# A head as it is written, without a character that JSON escapes: twice as fast as the parser.
_PLAIN_HEAD = re.compile(
    f'{{"event_id":{_PLAIN},"event_type":{_PLAIN},'
    + ",".join(f'"{key}":(?:null|{_PLAIN})' for key in _KEYS[2:])
    + "}"
)


class BadEventError(ValueError):
    """A record holds no event; the text says why."""


class EventEncoder:
    """Write events, which passed the gate, as heads and payloads of records."""

    def __init__(self) -> None:
        self._encode = _fastest_encoder()
        # Quoted: most events share their type, session, agent and keys with others.
        self._quoted: dict[str | None, str] = {None: "null"}

    def parts_of(self, event: HypervisorEvent) -> tuple[bytes, bytes]:
        """Give head and payload; the event's time stands beside them.

        Raises:
            ValueError: JSON has no form for it.
        """
        quoted = self._quoted
        if len(quoted) > _MAX_QUOTED:
            quoted.clear()
            quoted[None] = "null"
        event_type, session, agent = event.event_type, event.session_id, event.agent_did
        trace, parent = event.causal_trace_id, event.parent_event_id
        head = (
            f'{{"event_id":{_quote(event.event_id)}'
            f',"event_type":{quoted.get(event_type) or self._remember(event_type)}'
            f',"session_id":{quoted.get(session) or self._remember(session)}'
            f',"agent_did":{quoted.get(agent) or self._remember(agent)}'
            f',"causal_trace_id":{"null" if trace is None else _quote(trace)}'
            f',"parent_event_id":{"null" if parent is None else _quote(parent)}}}'
        )
        payload = raw_payload(event)
        if type(payload) is not dict:
            return head.encode(), self._encode(thaw(payload)).ljust(DIGEST_BYTES)
        # In line: every event comes by here.
        parts = []
        for key, value in payload.items():
            name = quoted.get(key) or self._remember(key)
            kind = type(value)
            if kind is str:
                parts.append(f"{name}:{_quote(value)}")
            elif kind is int:
                parts.append(f"{name}:{value}")
            elif kind is bool:
                parts.append(f"{name}:{_BOOLEANS[value]}")
            elif kind is float and -_INFINITY < value < _INFINITY:
                parts.append(f"{name}:{value!r}")
            elif value is None:
                parts.append(f"{name}:null")
            else:
                return head.encode(), self._encode(payload).ljust(DIGEST_BYTES)
        # Space for a digest, should it be erased. JSON does not mind blanks at the end.
        return head.encode(), f"{{{','.join(parts)}}}".encode().ljust(DIGEST_BYTES)

    def _remember(self, text: str | None) -> str:
        assert text is not None  # noqa: S101 - None is there from the beginning
        # As a plain string: an EventType would be written with its name.
        self._quoted[text] = quoted = _quote(str.__str__(text))
        return quoted


def _stdlib_encoder() -> Callable[[Any], bytes]:
    encode = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
    ).encode
    return lambda value: encode(value).encode()


def _fastest_encoder() -> Callable[[Any], bytes]:
    """Give msgspec's encoder where it is installed, else the standard library's."""
    try:
        import msgspec
    except ImportError:
        return _stdlib_encoder()
    own = _stdlib_encoder()
    encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode

    def either(value: Any) -> bytes:
        try:
            encoded = encode(value)
        except Exception as error:  # such as an integer beyond 64 bits, which JSON has
            if is_from_handler(error):
                raise
            return own(value)
        # It makes null of NaN, which is to be refused.
        return own(value) if b"null" in encoded else encoded

    return either


def event_of(record: Record) -> HypervisorEvent:
    """Read the event of *record*; of one that was erased, ``is_erased`` is true.

    Raises:
        BadEventError: It is not what this package writes.
    """
    event_id, event_type, session_id, agent_did, causal_trace_id, parent_event_id = _head_of(record)
    payload = erased_payload() if record.erased else _parsed(record.payload)
    if not isinstance(payload, dict):
        raise BadEventError("the payload is no object")
    event = HypervisorEvent(
        event_id,
        EventType.of(event_type),
        None,
        session_id,
        agent_did,
        causal_trace_id,
        parent_event_id,
        payload,
    )
    return at_nanoseconds(event, record.time_ns)


_Head = tuple[str, str, str | None, str | None, str | None, str | None]


def _head_of(record: Record) -> _Head:
    try:
        text = record.head.decode("utf-8")
    except ValueError as error:
        raise BadEventError(f"it is no JSON: {error}") from error
    plain = _PLAIN_HEAD.fullmatch(text)
    if plain is not None:
        return plain.groups()  # type: ignore[return-value]  # the six of the expression
    head = _parsed(record.head)
    if not isinstance(head, dict) or set(head) != set(_KEYS):
        raise BadEventError("the head has other keys than an event")
    if not isinstance(head["event_id"], str) or not isinstance(head["event_type"], str):
        raise BadEventError("the event's id or type is no string")
    if not all(head[key] is None or isinstance(head[key], str) for key in _KEYS[2:]):
        raise BadEventError("one of the event's ids is neither a string nor null")
    return tuple(head[key] for key in _KEYS)


def _parsed(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
        _check_depth(text)
        return _decode(text)
    except BadEventError:
        raise
    except (ValueError, RecursionError) as error:
        raise BadEventError(f"it is no JSON: {error}") from error


def _check_depth(text: str) -> None:
    # The parser recurses.
    if text.count("[") + text.count("{") <= _MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > _MAX_DEPTH:
            raise BadEventError("it is nested too deeply")


def _refuse(constant: str) -> None:
    raise BadEventError(f"it holds {constant}")


_decode = json.JSONDecoder(parse_constant=_refuse).decode
