"""Events as records, and back: strict JSON (RFC 8259) in UTF-8."""

import json
import re
from collections.abc import Callable
from typing import Any

from ..event_types import EventType
from ..events import HypervisorEvent, at_nanoseconds, raw_payload
from ..json_values import thaw
from .frames import DIGEST_BYTES, Record

_MAX_DEPTH = 64
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(r"[\[\]{}]")
_KEYS = (
    "event_id",
    "event_type",
    "session_id",
    "agent_did",
    "causal_trace_id",
    "parent_event_id",
)


class BadEventError(ValueError):
    """A record holds no event; the text says why."""


def _stdlib_encoder() -> Callable[[Any], bytes]:
    encode = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
    ).encode
    return lambda value: encode(value).encode("utf-8")


def fastest_encoder() -> Callable[[Any], bytes]:
    """Give msgspec's encoder where it is installed, else the standard library's."""
    try:
        import msgspec
    except ImportError:
        return _stdlib_encoder()
    own = _stdlib_encoder()
    encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode

    def either(value: Any) -> bytes:
        try:
            return encode(value)
        except Exception:  # noqa: BLE001 - such as an integer beyond 64 bits, which JSON has
            return own(value)

    return either


def parts_of(event: HypervisorEvent, encode: Callable[[Any], bytes]) -> tuple[bytes, bytes]:
    """Write *event*, which passed the gate, as head and payload; its time stands beside them.

    Raises:
        ValueError: JSON has no form for it.
    """
    head = encode(
        {
            "event_id": event.event_id,
            "event_type": event.event_type.value,
            "session_id": event.session_id,
            "agent_did": event.agent_did,
            "causal_trace_id": event.causal_trace_id,
            "parent_event_id": event.parent_event_id,
        }
    )
    payload = raw_payload(event)
    text = encode(payload if type(payload) is dict else thaw(payload))
    # Space for a digest, should it be erased. JSON does not mind blanks at the end.
    return head, text.ljust(DIGEST_BYTES)


def event_of(record: Record) -> HypervisorEvent:
    """Read the event of *record*; one that was erased has an empty payload.

    Raises:
        BadEventError: It is not what this package writes.
    """
    head = _parsed(record.head)
    if not isinstance(head, dict) or set(head) != set(_KEYS):
        raise BadEventError("the head has other keys than an event")
    if not isinstance(head["event_id"], str) or not isinstance(head["event_type"], str):
        raise BadEventError("the event's id or type is no string")
    payload = {} if record.erased else _parsed(record.payload)
    if not isinstance(payload, dict):
        raise BadEventError("the payload is no object")
    event = HypervisorEvent(
        event_id=head["event_id"],
        event_type=EventType.of(head["event_type"]),
        session_id=head["session_id"],
        agent_did=head["agent_did"],
        causal_trace_id=head["causal_trace_id"],
        parent_event_id=head["parent_event_id"],
        payload=payload,
    )
    return at_nanoseconds(event, record.time_ns)


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
