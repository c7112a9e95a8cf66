"""What was recorded lately, so that what tells of it a second time is not recorded again."""

import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from attrs import define, field

from hypervisor_observability.facts.payload_keys import PAYLOAD_KEYS

LATELY_SECONDS = 5.0
"""How long a program may take from a call to an event of its own about it."""

_MAX_TOLD = 256
_MAX_IDS = 10_000


class Fact(NamedTuple):
    """What an event said.

    Attributes:
        told: When it was recorded, in monotonic seconds: first, as what tells two facts apart.
        kind: The type of the event.
        session_id: Its session.
        agent_did: Its agent.
        payload: Its payload.
    """

    told: float
    kind: str
    session_id: str | None
    agent_did: str | None
    payload: Mapping[str, Any]


@define(eq=False)
class Told:
    """What the source has recorded lately, and which events of others."""

    _facts: deque[Fact] = field(factory=lambda: deque(maxlen=_MAX_TOLD), init=False)
    _ids: dict[str, None] = field(factory=dict, init=False)

    def note(
        self, kind: str, session_id: str | None, agent_did: str | None, payload: Mapping[str, Any]
    ) -> None:
        """Note that an event was recorded."""
        self._facts.append(Fact(time.monotonic(), kind, session_id, agent_did, payload))

    def repeats(
        self,
        kind: str,
        session_id: str | None,
        agent_did: str | None,
        payload: Mapping[str, Any],
    ) -> bool:
        """Tell whether an event of somebody else says what was recorded lately.

        It does if type, session, agent and all that names something in both payloads agree. What
        was recorded once is repeated once: the next one like it is news.
        """
        earliest = time.monotonic() - LATELY_SECONDS
        for fact in reversed(list(self._facts)):
            if fact.told < earliest:
                return False
            if (
                fact.kind == kind
                and _agree(fact.session_id, session_id)
                and _agree(fact.agent_did, agent_did)
                and _name_the_same(fact.payload, payload)
            ):
                try:
                    self._facts.remove(fact)
                except ValueError:  # another thread was faster
                    continue
                return True
        return False

    def is_known(self, event_id: str) -> bool:
        """Tell whether an event of that id was given here before, and note it."""
        if event_id in self._ids:
            return True
        self._ids[event_id] = None
        if len(self._ids) > _MAX_IDS:
            drop_oldest(self._ids)
        return False


def drop_oldest(things: dict[Any, Any]) -> None:
    """Take out of a dict what was put in first; another thread may do so, too."""
    with suppress(RuntimeError, StopIteration):
        things.pop(next(iter(things)), None)


def _agree(ours: Any, theirs: Any) -> bool:
    return ours is None or theirs is None or ours == theirs


def _name_the_same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    for key, value in theirs.items():
        known = PAYLOAD_KEYS.get(key)
        mine = ours.get(key)
        if known is None or known.kind != "name" or mine is None or value is None:
            continue
        # A path is told with or without the folder of its session.
        same = str(mine).endswith(str(value)) if key == "path" else mine == value
        if not same:
            return False
    return True
