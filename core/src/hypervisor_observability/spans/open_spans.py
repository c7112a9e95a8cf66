"""The work that has begun and not ended, and how to find it."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from ..facts import lasting
from .open_span import Key, OpenSpan

Index = tuple[str, Any] | tuple[str, str, Any] | tuple[str, str, Any, Any]
"""By what spans are found, and what that is; often of a kind alone, which comes first."""

_OF_A_KIND = frozenset({"kind", "place", "does", "own", "saga", "part"})

LASTING = frozenset({"elevation", "quarantine"})
"""Kinds of which each is told apart by its own id, its agent and its session: see ``lasting``."""


class OpenSpans:
    """Open spans in the order in which they began, found by key, agent, place and causal id.

    Most work begins and ends without anybody asking for anything but its key: what stands in an
    index is put there when somebody asks for more.
    """

    def __init__(self) -> None:
        self._spans: dict[Key, OpenSpan] = {}
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._indexes: dict[Index, dict[Key, OpenSpan]] = {}
        # The newest ones, which stand in no index yet.
        self._unindexed: dict[Key, OpenSpan] = {}

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[OpenSpan]:
        return iter(self._spans.values())

    def get(self, key: Key) -> OpenSpan | None:
        """Give the span with *key*."""
        return self._spans.get(key)

    def add(self, span: OpenSpan) -> int:
        """Take *span*, whose key is free; tell how many of its kind are open."""
        key = span.key
        self._spans[key] = self._unindexed[key] = span
        self._counts[key[0]] += 1
        return self._counts[key[0]]

    def pop(self, key: Key) -> OpenSpan | None:
        """Take the span with *key* out."""
        span = self._spans.pop(key, None)
        if span is None:
            return None
        self._counts[key[0]] -= 1
        if self._unindexed.pop(key, None) is None:
            for index in _indexes_of(span):
                found = self._indexes[index]
                del found[key]
                if not found:
                    del self._indexes[index]
        return span

    def count(self, kind: str) -> int:
        """How many of a kind are open."""
        return self._counts.get(kind, 0)

    def oldest(self, kind: str) -> OpenSpan:
        """Give the one of a kind that began first; there must be one."""
        return next(iter(self._of(("kind", kind)).values()))

    def of_agent(self, agent_did: str) -> list[OpenSpan]:
        """Give the spans of an agent, oldest first."""
        return list(self._of(("agent", agent_did)).values())

    def of_session(self, session_id: str) -> list[OpenSpan]:
        """Give the spans in a session, oldest first."""
        return list(self._of(("session", session_id)).values())

    def of_agent_in(self, kind: str, agent_did: str, sessions: list[str] | None) -> list[OpenSpan]:
        """Give those of a kind that an agent does in *sessions*, ``""`` being outside of any;
        None: wherever.
        """
        indexes: list[Index] = [("does", kind, agent_did)]
        if sessions is not None:
            indexes = [("place", kind, agent_did, session or None) for session in sessions]
        return [span for one in indexes for span in self._of(one).values()]

    def newest_at(
        self, kind: str, agent_did: str | None, session_id: str | None
    ) -> OpenSpan | None:
        """Give the newest of a kind that an agent does in a session."""
        return self._newest(("place", kind, agent_did, session_id))

    def newest_named(self, kind: str, own: str) -> OpenSpan | None:
        """Give the newest of a kind that has an id of its own."""
        return self._newest(("own", kind, own))

    def newest_of_agent(self, agent_did: str) -> OpenSpan | None:
        """Give the newest that an agent does."""
        return self._newest(("agent", agent_did))

    def newest_under(self, causal: str) -> OpenSpan | None:
        """Give the newest that began under a causal id."""
        return self._newest(("causal", causal))

    def newest_in_trace(self, trace_id: str) -> OpenSpan | None:
        """Give the newest in a trace."""
        return self._newest(("trace", trace_id))

    def with_id(self, span_id: str) -> OpenSpan | None:
        """Give the one with a span id."""
        return self._newest(("id", span_id))

    def newest_of_saga(self, kind: str, saga_id: str, part: str | None = None) -> OpenSpan | None:
        """Give the newest part of a saga."""
        return self._newest(
            ("saga", kind, saga_id) if part is None else ("part", kind, saga_id, part)
        )

    def of_saga(self, saga_id: str) -> list[OpenSpan]:
        """Give the parts of a saga, steps first."""
        return [
            span
            for kind in ("step", "compensation", "fanout")
            for span in self._of(("saga", kind, saga_id)).values()
        ]

    def _newest(self, index: Index) -> OpenSpan | None:
        found = self._of(index)
        return next(reversed(found.values())) if found else None

    def _of(self, index: Index) -> dict[Key, OpenSpan]:
        if index[0] in _OF_A_KIND and not self._counts.get(index[1]):
            return {}
        for span in self._unindexed.values():
            for one in _indexes_of(span):
                self._indexes.setdefault(one, {})[span.key] = span
        self._unindexed.clear()
        return self._indexes.get(index, {})


@frozen
class OpenOfKind:
    """The open elevations, or quarantines, as ``lasting.ended_by`` asks for them."""

    _spans: OpenSpans
    _kind: str

    def follows(self, key: lasting.Key) -> bool:
        """Tell whether that is open."""
        return self._spans.get((self._kind, *key)) is not None

    def newest_named(self, own: str) -> lasting.Key | None:
        """Give the newest that has this id."""
        return _key(self._spans.newest_named(self._kind, own))

    def newest_at(self, agent: str, session: str) -> lasting.Key | None:
        """Give the newest of an agent in a session."""
        return _key(self._spans.newest_at(self._kind, agent or None, session or None))


def _key(span: OpenSpan | None) -> lasting.Key | None:
    if span is None:
        return None
    _, own, agent, session = span.key
    return (own, agent, session)


def _indexes_of(span: OpenSpan) -> Iterator[Index]:
    kind = span.key[0]
    yield "kind", kind
    yield "trace", span.identity.trace_id
    yield "id", span.identity.span_id
    yield "place", kind, span.agent_did, span.session_id
    if span.agent_did is not None:
        yield "agent", span.agent_did
        yield "does", kind, span.agent_did
    if span.session_id is not None:
        yield "session", span.session_id
    if span.causal is not None:
        yield "causal", span.causal
    if kind in LASTING:
        yield "own", kind, span.key[1]
    if kind in {"step", "compensation", "fanout"}:
        yield "saga", kind, span.key[1]
        yield "part", kind, span.key[1], span.key[2]
