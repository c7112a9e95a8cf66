"""What an event says: the one place in which payloads are read.

Payloads hold anything. Each function here gives a fact that can be relied on, or says that there is
none; none of them raises. Which keys there are stands in ``payload_keys``.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ..events.event import HypervisorEvent, is_erased, raw_payload
from ..events.event_types import AGENT_FINISHED, RUN_FINISHED, EventType
from ..events.json_values import json_text
from ..events.timestamps import nanoseconds
from ..values.truth import flag_of

UNKNOWN = "unknown"
ERASED = "erased"
"""Stands for what only the payload said, where that was erased."""

Scalar = str | bool | int | float

MAX_AMOUNT = 2**53
"""Beyond this the integers have gaps as floats, and a total would not be exact."""
GREATEST_RING = 255
"""What is beyond cannot be allowed by a configuration either."""

SEVERITIES = ("low", "medium", "high", "critical", UNKNOWN)
RING_TRANSITIONS = {
    EventType.RING_ASSIGNED: "assigned",
    EventType.RING_ELEVATED: "elevated",
    EventType.RING_DEMOTED: "demoted",
    EventType.RING_ELEVATION_EXPIRED: "expired",
}
"""The events that change rings, each in a word."""
SESSION_ENDS = frozenset({EventType.SESSION_TERMINATED, EventType.SESSION_ARCHIVED})
SESSION_BEGINNINGS = frozenset({EventType.SESSION_CREATED, EventType.SESSION_JOINED})
"""What opens a session; also one that has ended, if it is begun or joined again."""


_LEFT_UNDONE = ("cancelled", "expired")
_NEVER_REFUSED = frozenset({RUN_FINISHED, AGENT_FINISHED})
WORK_ENDS = ("ok", "error", *_LEFT_UNDONE, ERASED)
"""The words of ``work_end``."""
CALL_ENDS = (*WORK_ENDS, "blocked")
"""Those of calls of tools and models, which may be refused, too."""
_CONTAINERS = (dict, list, tuple, frozenset)


# Values


def has(event: HypervisorEvent, key: str) -> bool:
    """Tell whether there is anything but None under *key*."""
    return raw_payload(event).get(key) is not None


def text(event: HypervisorEvent, key: str) -> str:
    """Give what is under *key*, for people; empty where there is nothing."""
    value = raw_payload(event).get(key)
    if value is None:
        return ""
    if isinstance(value, dict) and "_tag" in value:
        return str(value.get("text") or f"<{value['_tag']}>")
    # A tuple is a list once it was written, and read again.
    return json_text(value) if isinstance(value, _CONTAINERS) else str(value)


def texts(event: HypervisorEvent, keys: Iterable[str]) -> dict[str, str]:
    """Give what is under those of *keys* that hold anything but None, for people."""
    payload = raw_payload(event)
    found = {}
    for key in keys:
        if payload.get(key) is not None:
            found[key] = text(event, key)
    return found


def name(event: HypervisorEvent, key: str) -> str:
    """Give what is under *key* as something that tells things apart, or as a word.

    That is a string or a number, which is as good as its text; anything else names nothing: empty.
    """
    value = raw_payload(event).get(key)
    return value if type(value) is str else _name(value)


def string(event: HypervisorEvent, key: str) -> str | None:
    """Give the string under *key*, if it is one."""
    value = raw_payload(event).get(key)
    return value if isinstance(value, str) else None


def word(event: HypervisorEvent, key: str, known: tuple[str, ...]) -> str:
    """Give which of the *known* words is under *key*; the last one, ``unknown``, if none is."""
    found = name(event, key)
    return found if found in known else known[-1]


def flag(event: HypervisorEvent, key: str) -> bool | None:
    """Give whether *key* says yes or no, by ``flag_of``; None if it says neither."""
    return flag_of(raw_payload(event).get(key))


def integer(event: HypervisorEvent, key: str) -> int | None:
    """Give the integer under *key*; a boolean is none."""
    value = raw_payload(event).get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def amount(event: HypervisorEvent, key: str) -> float | None:
    """Give the number under *key* that can be added up: from 0, finite, below 2**53."""
    value = raw_payload(event).get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MAX_AMOUNT:
        return value
    return None


def count(event: HypervisorEvent, key: str) -> int | None:
    """Give the number of things under *key*: an integer from 0 that can be added up."""
    value = integer(event, key)
    return value if value is not None and 0 <= value < MAX_AMOUNT else None


def moment_ns(event: HypervisorEvent, key: str) -> int | None:
    """Give the moment under *key*, in ISO 8601, in nanoseconds since the epoch; in UTC where it
    names no time zone.
    """
    try:
        moment = datetime.fromisoformat(name(event, key))
        return nanoseconds(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def scalars(event: HypervisorEvent, keys: Iterable[str]) -> dict[str, Scalar]:
    """Give those of *keys* that hold a scalar, other than a number that is not finite."""
    payload = raw_payload(event)
    return {
        key: value
        for key in keys
        if (value := payload.get(key)) is not None
        and (isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value)))
    }


# What several readers ask


def is_allowed(event: HypervisorEvent) -> bool:
    """Tell whether a decision allowed what it is about: only if it says yes."""
    return flag(event, "allowed") is True


def decision(event: HypervisorEvent) -> str:
    """Give what was decided: ``allow``, ``deny``, or ``ERASED`` where that is not known."""
    if is_erased(event):
        return ERASED
    return "allow" if is_allowed(event) else "deny"


def is_refused_breach(event: HypervisorEvent) -> bool:
    """Tell whether what a breach tried was refused."""
    return flag(event, "allowed") is False or flag(event, "denied") is True


def has_failed(event: HypervisorEvent) -> bool:
    """Tell whether work ended with an error; to be cancelled, or blocked, is none."""
    return work_end(event) == "error"


def left_undone(event: HypervisorEvent) -> str:
    """Give the word for work that has neither succeeded nor failed: ``cancelled``, as nobody wanted
    it any more, or ``expired``, as nobody told of its end; empty for any other.
    """
    status = name(event, "status")
    return status if status in _LEFT_UNDONE else ""


def was_blocked(event: HypervisorEvent) -> bool:
    """Tell whether a call was refused; runs and agents are not."""
    return name(event, "status") == "blocked" and event.event_type not in _NEVER_REFUSED


def work_end(event: HypervisorEvent) -> str:
    """Give how work ended, in all readers: one of ``CALL_ENDS``, of runs and agents one of
    ``WORK_ENDS``.
    """
    status = name(event, "status")
    if status == "error" or status in _LEFT_UNDONE:
        return status
    if status == "blocked":
        return "blocked" if was_blocked(event) else "error"
    if has(event, "error_type"):
        return "error"
    return ERASED if is_erased(event) else "ok"


def severity(event: HypervisorEvent) -> str:
    """Give how grave it is: one of ``SEVERITIES``."""
    return word(event, "severity", SEVERITIES)


def reason(event: HypervisorEvent) -> str:
    """Tell why something failed or was done."""
    return text(event, "reason") or text(event, "error")


def failure(event: HypervisorEvent) -> str:
    """Tell what went wrong."""
    return text(event, "error") or text(event, "reason")


def has_ring(event: HypervisorEvent) -> bool:
    """Tell whether the agent's ring is said, be it a ring or not."""
    return has(event, "to_ring") or has(event, "ring")


def ring(event: HypervisorEvent, key: str | None = None) -> int | None:
    """Give the agent's ring from now on, or the one under *key*: from 0 to ``GREATEST_RING``."""
    payload = raw_payload(event)
    if key is None:
        key = "ring" if payload.get("to_ring") is None else "to_ring"
    found = payload.get(key)
    return found if type(found) is int and 0 <= found <= GREATEST_RING else None


def caller_trace(event: HypervisorEvent) -> str:
    """Give the causal id of a caller that was linked rather than continued; empty if none."""
    return string(event, "caller_trace") or ""


def ends_agent(event: HypervisorEvent) -> bool:
    """Tell whether the agent of *event* works no more: it has finished, or was made to."""
    kind = event.event_type
    return kind in {AGENT_FINISHED, EventType.AGENT_KILLED} or (
        kind == EventType.QUARANTINE_ENTERED and flag(event, "terminated") is True
    )


def is_kill(event: HypervisorEvent) -> bool:
    """Tell whether an agent was made to end whatever it does."""
    return ends_agent(event) and event.event_type != AGENT_FINISHED


def handoff(event: HypervisorEvent) -> tuple[str, str]:
    """Give who handed work over, and to whom, as the event names them: by their DIDs or by the
    names under which they work; empty where it names none.

    Who handed over is the agent of the event, where nobody else is named.
    """
    return name(event, "from_agent") or event.agent_did or "", name(event, "to_agent")


def blamed_agents(event: HypervisorEvent) -> list[str]:
    """Give the agents to which a fault is attributed."""
    found = raw_payload(event).get("attributions")
    if not isinstance(found, list | tuple):
        return []
    return [did for one in found if isinstance(one, dict) and (did := _name(one.get("agent_did")))]


def _name(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < MAX_AMOUNT:
        return str(int(value))  # as JSON has it, 7.0 is 7
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, Mapping) and "_tag" in value:
        return _name(value.get("text"))
    return ""
