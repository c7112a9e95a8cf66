"""What runs: LangChain's calls of chains, tools and models, by the id of each.

LangChain tells of the beginning and the end of each call, and by whom it was called. Most are
parts of a chain or a graph that nobody asked for; they stand here as links between those that are
recorded.
"""

from asyncio import Task
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextvars import Context
from typing import Any, Literal

from attrs import define, field

MAX_CALLS = 50_000
"""Most calls that are open at once; beyond, the oldest is forgotten."""
MAX_ENDED = 1_000
"""Calls that are remembered after their end, for what begins below them later."""

Recorded = Literal["run", "agent", "tool", "model"]
Kind = Literal["undecided", "part"] | Recorded
"""What a call is recorded as: not known yet; not at all; or as that."""


def key_of(run_id: Any) -> Hashable:
    """Give the key of a call, by its id: a UUID as a rule, but the application may give any."""
    key: Hashable = getattr(run_id, "int", run_id)
    return key


@define(eq=False)
class Call:
    """A call of a chain, a tool or a model; LangChain says "run".

    Attributes:
        key: Its id, which is the key that the recorder knows it by; see ``key_of``.
        parent: The call that it is part of; None: there is none, or nobody told of it.
        name: What was called.
        agent_name: The agent that it is or is part of, as LangChain says; None: it does not.
        namespace: LangGraph's path to the node around; None: there is none.
        is_node: Whether it is a node of a graph.
        holds_graph: Whether a graph or an agent works in it, whose state it returns.
        kind: What it is recorded as.
        start_ns: When it began, in nanoseconds since the epoch.
        around: The context in which it began; kept while it is undecided.
        attributes: Of the outermost call: of the application's own.
        did: The agent's id.
        worker: The id of the agent that worked in it last.
        giver: Of a node: the id of the agent that handed over to it.
        handed: Of a graph: who handed over to which node, until that begins.
        asked: Of a graph: the calls of tools that its models have asked for, by their ids.
        interrupted: Whether it waits for an answer of a human.
        task: Of a tool or a model: the task that it runs in.
        on_done: Called when that is done; None: the call around sees to it.
        thread: Of a tool or a model: the thread that it runs in, where that is in no task.
        loose: Tools and models below it that may end without a word.
        holder: Whose ``loose`` it is in.
        is_over: Whether it has ended.
        model: Of a model: its name, and its provider where that is told.
        began: Of a model: when it began, by the clock that nobody sets, in seconds.
        first_token_seconds: How long its first token took; None before that.
    """

    key: Hashable
    parent: "Call | None"
    name: str = ""
    agent_name: object = None
    namespace: str | None = None
    is_node: bool = False
    holds_graph: bool = False
    kind: Kind = "undecided"
    start_ns: int = 0
    around: Context | None = None
    attributes: dict[str, object] | None = None
    did: str | None = None
    worker: str | None = None
    giver: str | None = None
    handed: dict[str, list[str]] | None = None
    asked: dict[str, Any] | None = None
    interrupted: bool = False
    task: "Task[Any] | None" = None
    on_done: Callable[[Any], object] | None = None
    thread: int = 0
    loose: "dict[Hashable, Call] | None" = None
    holder: "Call | None" = None
    is_over: bool = False
    model: dict[str, str] = field(factory=dict)
    began: float = 0.0
    first_token_seconds: float | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether the recorder knows it."""
        return self.kind not in ("undecided", "part")

    def recorded(self) -> "Call | None":
        """Give it, or the nearest above it that is recorded; None: none is."""
        call: Call | None = self
        while call is not None and not call.is_recorded:
            call = call.parent
        return call

    def remembered(self) -> "Call | None":
        """Give what a call stands below that goes on, or begins, when this one is over.

        Calls of which each starts the next, without end, would else keep all before them.
        """
        call = self.recorded()
        if call is not None and call.is_over:
            call.parent = None
        return call

    def whole(self) -> "Call":
        """Give the graph, agent or tool that it is a part of; else the outermost chain."""
        call = self
        while call.parent is not None and call.kind not in ("run", "agent", "tool"):
            call = call.parent
        return call

    def node(self) -> "Call | None":
        """Give the node of a graph that it stands in; None: there is none, or a tool between."""
        call: Call | None = self
        while call is not None and not call.is_node:
            if call.kind in ("tool", "model"):
                return None
            call = call.parent
        return call


@define(eq=False)
class Calls:
    """The calls that are open, and the latest that have ended."""

    _open: OrderedDict[Hashable, Call] = field(factory=OrderedDict, init=False)
    _ended: OrderedDict[Hashable, Call] = field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        return len(self._open)

    def add(self, call: Call) -> None:
        """Add a call that has begun."""
        self._open[call.key] = call
        if len(self._open) > MAX_CALLS:
            self._open.popitem(last=False)

    def known(self, key: Hashable) -> Call | None:
        """Give the call of that *key*, which may have ended."""
        return self._open.get(key) or self._ended.get(key)

    def running(self, key: Hashable) -> Call | None:
        """Give the call of that *key* if it is open."""
        return self._open.get(key)

    def take(self, key: Hashable) -> Call | None:
        """Take out a call that has ended; None: it is not open."""
        call = self._open.pop(key, None)
        if call is not None:
            call.is_over = True
            # What is remembered of it keeps nothing of the application's alive.
            call.around = call.asked = call.handed = None
            holder, call.holder = call.holder, None
            if holder is not None and holder.loose is not None:
                holder.loose.pop(key, None)
            if call.task is not None:
                if call.on_done is not None:
                    call.task.remove_done_callback(call.on_done)
                call.task = call.on_done = None
            self._ended[key] = call
            if len(self._ended) > MAX_ENDED:
                self._ended.popitem(last=False)
        return call

    def take_all(self) -> list[Call]:
        """Take out all that are open, the latest first."""
        taken = [self.take(key) for key in reversed(list(self._open))]
        return [call for call in taken if call is not None]
