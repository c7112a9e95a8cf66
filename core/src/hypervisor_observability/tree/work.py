"""Pieces of work: what people see in a trace where a machine sees spans and events."""

from collections.abc import Iterator, Mapping
from typing import Literal

from attrs import define, field

from ..causality.trace_tree import TreeNode
from ..events.event import HypervisorEvent, is_erased
from ..facts import payload_facts
from ..facts.usage import Usage

Kind = Literal[
    "run",
    "agent",
    "tool",
    "model",
    "saga",
    "step",
    "compensation",
    "fan-out",
    "handoff",
    "elevation",
    "breach",
    "decision",
    "incident",
    "session",
    "span",
]
State = Literal["", "running", "ok", "failed", "cancelled", "undone", "refused", "erased"]
Key = tuple[str, ...]


@define(eq=False, kw_only=True)
class Work:
    """A piece of work, or an incident within one.

    Attributes:
        kind: What it is; ``span``: nothing is known of it.
        title: The agent's name, the saga's, what a step does, the tool of a breach.
        span_id: The span under which it began.
        state: How it stands; empty where that makes no sense.
        word: The state in the word that suits its kind, such as ``committed``.
        begun: The event that opened it; None where that was not recorded.
        ended: The event that closed it; an incident's own event.
        agent_did: The agent that did it.
        ring: The agent's ring; empty where it was not recorded.
        details: What else is worth telling, such as ``attempt 2``.
        reason: Why it failed, was done or was refused.
        usage: What it used, with all below it; None where nothing was reported.
        position: Where what opened it stood among the events; of a span's first piece of work,
            where the span's first event did.
        children: What it caused, in order of appearance.
        parent: What caused it; a compensation's is the step that it undoes.
    """

    kind: Kind
    title: str = ""
    span_id: str = ""
    state: State = "running"
    word: str = "running"
    begun: HypervisorEvent | None = None
    ended: HypervisorEvent | None = None
    agent_did: str | None = None
    ring: str = ""
    details: list[str] = field(factory=list)
    reason: str = ""
    usage: Usage | None = None
    position: int = 0
    children: "list[Work]" = field(factory=list)
    parent: "Work | None" = None

    @property
    def duration_seconds(self) -> float | None:
        """How long it took; never negative; None unless both ends were recorded."""
        if self.begun is None or self.ended is None or self.begun is self.ended:
            return None
        # In whole microseconds, as they are written down: a tree of events that were read
        # back is the same tree.
        begun_us, ended_us = self.begun.timestamp_ns // 1_000, self.ended.timestamp_ns // 1_000
        return max(0, ended_us - begun_us) / 1e6

    def end(self, event: HypervisorEvent, state: State, word: str) -> None:
        """Note how it ended; if that was erased, that it is not known, unless the type says it."""
        if is_erased(event) and state != "failed":
            state, word = "erased", "erased"
        self.ended, self.state, self.word = event, state, word

    def settle(self, event: HypervisorEvent, *, failed: bool) -> None:
        """Note whether it failed, and if so, why; or that it was cancelled."""
        left = payload_facts.left_undone(event)
        if left and not failed:
            self.end(event, "cancelled", left)
            return
        self.end(event, "failed" if failed else "ok", "FAILED" if failed else "ok")
        self.reason = payload_facts.reason(event) if failed else ""


def walk(roots: list[Work]) -> Iterator[Work]:
    """Give all pieces of work, every one before those below it."""
    waiting = list(reversed(roots))
    while waiting:
        work = waiting.pop()
        yield work
        waiting.extend(reversed(work.children))


@define(eq=False)
class Outline:
    """The pieces of work of a tree, while its spans are read, parents before children.

    Attributes:
        roots: What no other piece of work caused.
        mains: The first piece of work of each span.
        by_key: Pieces of work by what later events name them by.
        by_opening: Pieces of work by the ``event_id`` that opened them.
        ended: What ended each elevation, by the ``event_id`` that began it.
        position: Where the event that is being read stood among all.
    """

    roots: list[Work] = field(factory=list)
    mains: dict[str, Work] = field(factory=dict)
    by_key: dict[Key, Work] = field(factory=dict)
    by_opening: dict[str, Work] = field(factory=dict)
    ended: Mapping[str, HypervisorEvent] = field(factory=dict)
    position: int = 0

    def open(
        self, node: TreeNode, work: Work, key: Key | None = None, above: Work | None = None
    ) -> Work:
        """Put *work* into the outline and return it.

        Args:
            node: Its span.
            work: What is new.
            key: What later events name it by.
            above: What it belongs below; None: the first piece of work of its span, and for
                that one the first of its parent's.
        """
        work.span_id, work.position = node.span_id, self.position
        main = self.mains.setdefault(node.span_id, work)
        if above is None:
            above = main if main is not work else self.mains.get(node.parent_span_id or "")
            # A scope without a span of its own, an elevation, may lie between.
            opened_by = None if work.begun is None else work.begun.parent_event_id
            between = self.by_opening.get(opened_by or "")
            if between is not None and above is not None and between.span_id == above.span_id:
                above = between
        work.parent = above
        (self.roots if above is None else above.children).append(work)
        if key is not None:
            self.by_key[key] = work
        if work.begun is not None:
            self.by_opening.setdefault(work.begun.event_id, work)
        return work

    def arrange(self) -> None:
        """Put what each piece of work caused into order of appearance.

        A span is read before the spans below it, so what it tells of itself came before them.
        """
        for work in walk(self.roots):
            work.children.sort(key=lambda child: child.position)
