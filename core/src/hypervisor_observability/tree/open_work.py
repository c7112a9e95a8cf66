"""Which work of a trace is open, and which failed, while its events are read one by one."""

from attrs import define, field, frozen

from ..events.event import HypervisorEvent

Key = tuple[str, ...]
MOST_OPEN = 1_000
"""Most pieces of open work, and most failures, that are distinguished in a trace."""
_MOST_DEPTH = 64


@frozen
class _Piece:
    span: str
    parent: str
    agent_did: str | None
    session_id: str | None


@frozen
class _Failure:
    reason: str
    within: frozenset[str]
    span: str


@define(eq=False)
class OpenWork:
    """The open work of a trace, and its failures, in bounded memory.

    Attributes:
        further: Failures beyond those that are distinguished.
    """

    further: int = 0
    _open: dict[Key, _Piece] = field(factory=dict, init=False)
    # Spans around the open work; what ended is forgotten.
    _parents: dict[str, str] = field(factory=dict, init=False)
    # Ends that were read before their beginnings: clocks of two processes may differ.
    _early: set[Key] = field(factory=set, init=False)
    _failed: dict[Key, list[_Failure]] = field(factory=dict, init=False)

    @property
    def is_open(self) -> bool:
        """Whether any work has begun and not ended."""
        return bool(self._open)

    @property
    def failures(self) -> int:
        """How many pieces of work failed, without those that were made good."""
        return len(self._failed) + self.further

    @property
    def reason(self) -> str:
        """Why the first of them failed, of those that say so."""
        found = (one.reason for failures in self._failed.values() for one in failures)
        return next(filter(None, found), "")

    def begin(self, key: Key, event: HypervisorEvent) -> None:
        """Take the beginning of a piece of work."""
        if key in self._early:
            self._early.discard(key)
            return
        if len(self._open) >= MOST_OPEN:
            return
        span, parent = _spans(event)
        self._open[key] = _Piece(span, parent, event.agent_did, event.session_id)
        self._parents.setdefault(span, parent)

    def end(self, key: Key) -> None:
        """Take the end of one: that of the newest attempt if *key* gives none."""
        piece = self._open.pop(key, None)
        if piece is None and (whole := self._newest(key)) is not None:
            piece = self._open.pop(whole)
        if piece is None:
            if len(self._open) < MOST_OPEN and len(self._early) < MOST_OPEN and _is_whole(key):
                self._early.add(key)
            return
        self._parents.pop(piece.span, None)

    def fail(self, key: Key, event: HypervisorEvent, reason: str) -> None:
        """Note that a piece of work failed, which has ended."""
        key = key[:3]
        if key not in self._failed and len(self._failed) >= MOST_OPEN:
            self.further += 1
            return
        span, parent = _spans(event)
        around = set[str]()
        at = parent or self._parents.get(span, "")
        while at and at not in around and len(around) < _MOST_DEPTH:
            around.add(at)
            at = self._parents.get(at, "")
        failures = self._failed.setdefault(key, [])
        if len(failures) < MOST_OPEN:
            failures.append(_Failure(reason, frozenset(around), span))

    def heal(self, key: Key) -> None:
        """Forget earlier attempts at a step that succeeded, and what failed within them."""
        attempts = {one.span for one in self._failed.pop(key, ())}
        if not attempts:
            return
        for other in list(self._failed):
            left = [one for one in self._failed[other] if attempts.isdisjoint(one.within)]
            if left:
                self._failed[other] = left
            else:
                del self._failed[other]

    def kill(self, event: HypervisorEvent, reason: str) -> None:
        """End what an agent has open that was killed: a failure of each."""
        did, session = event.agent_did, event.session_id
        self.fail(("kill", did or ""), event, reason)
        for key, piece in list(self._open.items()):
            if piece.agent_did == did and session in (None, piece.session_id):
                del self._open[key]

    def _newest(self, key: Key) -> Key | None:
        if _is_whole(key):
            return None
        return next((one for one in reversed(self._open) if one[:3] == key), None)


def _is_whole(key: Key) -> bool:
    """Tell whether *key* says which attempt it is of, if there can be several."""
    return key[0] not in {"step", "compensation"} or len(key) > 3


def _spans(event: HypervisorEvent) -> tuple[str, str]:
    """Give the span of *event*, and its parent; empty if it has none."""
    _, span, *parent = (event.causal_trace_id or "//").split("/")
    above = parent[0] if parent else ""
    return span, "" if above == span else above
