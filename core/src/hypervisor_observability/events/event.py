"""The event: what one agent did, frozen at the moment when it was made."""

from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, final

from attrs import field, frozen

from . import clock, ids, lazy_slots
from .clock import monotonic_ns
from .dataclass_view import DataclassFields
from .draft import FIELDS, Draft, fields_of
from .event_types import EventType
from .frozen_containers import FrozenDict, erased_payload, heavier
from .json_values import thaw
from .payload_snapshot import (
    MAX_INT_BITS,
    MAX_KEY_CHARACTERS,
    MAX_KEYS,
    SHORT_STRING_CHARACTERS,
    snapshot,
)
from .timestamps import as_datetime, nanoseconds

_OTHER_SCALARS = frozenset({float, bool, type(None)})
_LONG_ID_CHARACTERS = 1_024  # longer ids are weighed with the payload: ``FrozenDict.weight``


class EventChanges(TypedDict, total=False):
    """What :meth:`HypervisorEvent.replace` takes: the fields of an event."""

    event_id: str
    event_type: EventType
    timestamp: datetime | float
    session_id: str | None
    agent_did: str | None
    causal_trace_id: str | None
    parent_event_id: str | None
    payload: Mapping[str, Any] | None


@final
@frozen(init=False, eq=False, weakref_slot=False)
class HypervisorEvent(Draft):
    """One thing that happened. Immutable; equal and hashable by ``event_id``.

    Attributes:
        event_id: 16 hexadecimal digits, drawn when none is given.
        event_type: What happened.
        timestamp: When, as an aware UTC datetime with microseconds; see ``timestamp_ns``.
        session_id: The session in which it happened.
        agent_did: The agent that did it, as a decentralised identifier.
        causal_trace_id: The causal id under which it happened (``CausalTraceId.full_id``).
        parent_event_id: The event that caused this one.
        payload: Details, read-only, equal to the dict that was given. PAYLOAD keys by type
            are listed in the documentation.

    Raises:
        ValueError: The timestamp is naive, not finite, outside the years 1 to 9999 or no
            time at all. Nothing else raises: other odd values are kept as text, or tagged.
    """

    event_id: str
    event_type: EventType
    timestamp: datetime
    session_id: str | None
    agent_did: str | None
    causal_trace_id: str | None
    parent_event_id: str | None
    payload: Mapping[str, Any] = field(factory=dict)

    __dataclass_fields__ = DataclassFields()
    if TYPE_CHECKING:
        # Type checkers read here what attrs.evolve takes.
        def __init__(
            self,
            event_id: str | None = None,
            event_type: EventType = EventType.SESSION_CREATED,
            timestamp: datetime | float | None = None,
            session_id: str | None = None,
            agent_did: str | None = None,
            causal_trace_id: str | None = None,
            parent_event_id: str | None = None,
            payload: Mapping[str, Any] | None = None,
        ) -> None: ...

    def __new__(  # noqa: C901, D102, PLR0912 - in line for speed; the class says how it is made
        cls,
        event_id: str | None = None,
        event_type: EventType = EventType.SESSION_CREATED,
        timestamp: datetime | float | None = None,
        session_id: str | None = None,
        agent_did: str | None = None,
        causal_trace_id: str | None = None,
        parent_event_id: str | None = None,
        payload: Mapping[str, Any] | None = None,
    ) -> "HypervisorEvent":
        draft = Draft()
        long_ids = 0
        if event_id is None:
            draft.event_id = ids.next_number()
        else:
            if type(event_id) is not str or len(event_id) > _LONG_ID_CHARACTERS:
                event_id, long_ids = _odd_id(event_id, long_ids)
            draft.event_id = event_id
        draft.event_type = event_type if type(event_type) is EventType else EventType.of(event_type)
        draft.timestamp = (
            monotonic_ns() + clock.utc_offset_ns if timestamp is None else nanoseconds(timestamp)
        )
        if session_id is not None and (
            type(session_id) is not str or len(session_id) > _LONG_ID_CHARACTERS
        ):
            session_id, long_ids = _odd_id(session_id, long_ids)
        draft.session_id = session_id
        if agent_did is not None and (
            type(agent_did) is not str or len(agent_did) > _LONG_ID_CHARACTERS
        ):
            agent_did, long_ids = _odd_id(agent_did, long_ids)
        draft.agent_did = agent_did
        if causal_trace_id is not None and (
            type(causal_trace_id) is not str or len(causal_trace_id) > _LONG_ID_CHARACTERS
        ):
            causal_trace_id, long_ids = _odd_id(causal_trace_id, long_ids)
        draft.causal_trace_id = causal_trace_id
        if parent_event_id is not None and (
            type(parent_event_id) is not str or len(parent_event_id) > _LONG_ID_CHARACTERS
        ):
            parent_event_id, long_ids = _odd_id(parent_event_id, long_ids)
        draft.parent_event_id = parent_event_id
        # In line, because nearly every payload is so: one level of scalars and short strings.
        # Its copy stays a plain dict, which the garbage collector need not look into.
        if type(payload) is dict and len(payload) <= MAX_KEYS:
            draft.payload = copied = payload.copy()
            for key, value in copied.items():
                kind = type(value)
                if kind is str:
                    if len(value) > SHORT_STRING_CHARACTERS:
                        break
                elif kind is int:
                    if value.bit_length() > MAX_INT_BITS:
                        break
                elif kind not in _OTHER_SCALARS:
                    break
                if type(key) is not str or len(key) > MAX_KEY_CHARACTERS:
                    break
            else:
                if long_ids:
                    draft.payload = heavier(copied, long_ids)
                draft.__class__ = HypervisorEvent
                return draft  # type: ignore[return-value]  # it is one since the line above
        draft.payload = {} if payload is None else snapshot(payload)
        if long_ids:
            draft.payload = heavier(draft.payload, long_ids)
        draft.__class__ = HypervisorEvent
        return draft  # type: ignore[return-value]  # it is one since the line above

    @property
    def timestamp_ns(self) -> int:
        """When it happened, in nanoseconds since the epoch."""
        return raw_timestamp(self)  # type: ignore[no-any-return]  # a slot that holds an int

    def replace(self, **changes: Unpack[EventChanges]) -> "HypervisorEvent":
        """Make the same event with some fields changed; its id too stays unless it is given.

        Raises:
            TypeError: A name is not a field's.
            ValueError: The timestamp is bad, as for the constructor.
        """
        kept = dict(zip(FIELDS, fields_of(self), strict=True))
        changed = HypervisorEvent(**{**kept, **changes})
        # A datetime has microseconds only.
        return changed if "timestamp" in changes else at_nanoseconds(changed, self.timestamp_ns)

    __replace__ = replace  # copy.replace, of Python 3.13

    def to_dict(self) -> dict[str, Any]:
        """Give a fresh plain dict of the eight fields that ``json.dumps`` takes."""
        return {
            "event_id": self.event_id,
            "event_type": self.event_type.value,
            "timestamp": self.timestamp.isoformat(),
            "session_id": self.session_id,
            "agent_did": self.agent_did,
            "causal_trace_id": self.causal_trace_id,
            "parent_event_id": self.parent_event_id,
            "payload": thaw(raw_payload(self)),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "HypervisorEvent":
        """Make the event of ``to_dict()`` again. Keys beyond the eight are left aside, but
        ``"erased": true`` without a payload, which says that a journal had one.

        Raises:
            ValueError: A required key (event_id, event_type, timestamp) is missing or of
                the wrong type, or the timestamp is none.
        """
        for key in ("event_id", "event_type", "timestamp"):
            if not isinstance(values.get(key), str):
                raise ValueError(f"{key}: expected a string, got {values.get(key)!r:.40}")
        payload = values.get("payload")
        if values.get("erased") is True and not payload:
            payload = erased_payload()
        return cls(
            event_id=values["event_id"],
            event_type=EventType.of(values["event_type"]),
            timestamp=datetime.fromisoformat(values["timestamp"]),
            session_id=values.get("session_id"),
            agent_did=values.get("agent_did"),
            causal_trace_id=values.get("causal_trace_id"),
            parent_event_id=values.get("parent_event_id"),
            payload=payload,
        )

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not HypervisorEvent:
            return NotImplemented
        return self.event_id == other.event_id

    def __hash__(self) -> int:
        return hash(self.event_id)

    def __reduce__(self) -> tuple[Any, ...]:
        return HypervisorEvent, fields_of(self)

    def __copy__(self) -> "HypervisorEvent":
        return self

    def __deepcopy__(self, memo: object) -> "HypervisorEvent":
        return self


# What the slots hold, as they hold it. An alias of the slot is read in half the time that its
# ``__get__`` takes.
for _name in FIELDS:
    setattr(Draft, f"_raw_{_name}", Draft.__dict__[_name])
raw_event_id = attrgetter("_raw_event_id")
raw_timestamp = attrgetter("_raw_timestamp")
raw_payload = attrgetter("_raw_payload")
raw_ids = attrgetter(*(f"_raw_{name}" for name in FIELDS if name != "payload"))
"""All that the event holds beside its payload, as a tuple: for who measures that."""


# Made when somebody reads them: the id's text, the datetime, the read-only payload.
lazy_slots.install(HypervisorEvent, "event_id", ids.event_id_text)
lazy_slots.install(HypervisorEvent, "timestamp", as_datetime, store=False)
lazy_slots.install(HypervisorEvent, "payload", FrozenDict, when=dict)


def with_payload(event: HypervisorEvent, payload: Mapping[str, Any], **ids: str) -> HypervisorEvent:
    """Make the same event with another payload; time and ids stay exactly what they are.

    Args:
        event: The event.
        payload: Its place takes a copy of this.
        ids: Ids to be other ones, by the name of the field.
    """
    draft = Draft()
    for name in FIELDS:
        setattr(draft, name, getattr(event, f"_raw_{name}"))
    if not is_erased(event):
        draft.payload = raw_payload(HypervisorEvent(payload=payload))
    for name, value in ids.items():
        setattr(draft, name, value)
    draft.__class__ = HypervisorEvent
    return draft  # type: ignore[return-value]  # it is one since the line above


def at_nanoseconds(event: HypervisorEvent, timestamp_ns: int) -> HypervisorEvent:
    """Set the time of an event that was just made, exactly: for who reads one back.

    Args:
        event: Nobody else may have it yet.
        timestamp_ns: Nanoseconds since the epoch, as ``timestamp_ns`` gave them.
    """
    Draft.__dict__["timestamp"].__set__(event, timestamp_ns)
    return event


def is_erased(event: HypervisorEvent) -> bool:
    """Tell whether the event's payload was erased: what is missing in it says nothing."""
    payload = raw_payload(event)
    return type(payload) is not dict and getattr(payload, "erased", False)


def _odd_id(value: object, long_ids: int) -> tuple[str, int]:
    """Give an id as text, and *long_ids* with its characters if it is a long one."""
    text = ids.as_text(value)
    return text, long_ids + (len(text) if len(text) > _LONG_ID_CHARACTERS else 0)
