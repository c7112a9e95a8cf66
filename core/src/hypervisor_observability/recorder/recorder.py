"""The recorder: what agents do, as events with the right ids, by context managers."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..bus.event_bus import HypervisorEventBus
from ..causality.choices import IdWidth, check_id_width
from ..causality.propagation import Extracted
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..values.truth import as_bool
from . import calls, keyed
from .agent import Agent, open_agent
from .calls_here import CallHere, CallKind, call_here
from .elevation import Elevation, open_elevation
from .event_writer import EventWriter
from .keyed_work import HERE, KeyedWork
from .model import ModelCall, open_model
from .opentelemetry_spans import OpenTelemetrySpans
from .place import check_caller
from .run import Run, open_run
from .saga import Saga, open_saga, open_step_anywhere
from .saga_outcome import Undo
from .saga_step import Step
from .scope import Scope, WatchedScope
from .session import Session, open_session
from .tool import ToolCall, open_tool
from .topics import Audit, Liability, Security, Verification, Vfs


class Recorder:
    """Records on a bus what happens between entry and exit of its context managers.

    They work with ``with`` and ``async with`` and nest over tasks and threads that carry
    the context along. Events take session, agent, causal id and parent event from the
    scopes around them. An exception in a block is recorded and passes through unchanged,
    be it a cancellation; a fault of recording itself is logged and never appears.

    Every scope takes ``attributes``, a flat dict of your own, which stands in the event that begins
    it. What it gives has ``set(**attributes)``, for those that stand in the event that ends it.

    Args:
        bus: Where the events go.
        id_width: How wide the ids of new traces are: ``short`` (12 and 8 digits), or ``w3c``
            (32 and 16).
        opentelemetry: Whether OpenTelemetry's active span is the parent of what begins below
            it, and ours the active one within. Nothing comes of it where the package
            opentelemetry-api is not installed.
        watch: Called for each scope that is made; what it gives is called if nobody enters that
            scope. None: nobody looks.

    Attributes:
        audit: Records what becomes of the audit log.
        liability: Records vouches, slashes, faults and quarantines.
        security: Records rate limits, kills and verified identities.
        verification: Records what checks found.
        vfs: Records what becomes of the session's files.
    """

    def __init__(
        self,
        bus: HypervisorEventBus,
        *,
        id_width: IdWidth = "short",
        opentelemetry: bool = False,
        watch: Callable[[], Callable[[], object]] | None = None,
    ) -> None:
        check_id_width(id_width)
        self._writer = EventWriter(bus, id_width, _outer_spans() if opentelemetry else None)
        self._writer.scope = Scope if watch is None else _watched_by(watch)
        record = self._writer.write_call
        self._keyed = KeyedWork(self._writer)
        self.audit = Audit(record)
        self.liability = Liability(record)
        self.security = Security(record)
        self.verification = Verification(record)
        self.vfs = Vfs(record)

    def session(
        self,
        session_id: str | None = None,
        *,
        attributes: Mapping[str, object] | None = None,
        **payload: object,
    ) -> Scope[Session]:
        """Record a session: created and terminated.

        It starts no trace, so a session may last for days: each agent that is not called by
        another starts one.

        Args:
            session_id: Unique; drawn by default.
            attributes: Of your own.
            payload: More about it, such as ``max_participants``.
        """
        scope: Scope[Session] = self._writer.scope(
            lambda: open_session(self._writer, session_id, payload, attributes)
        )
        return scope

    def agent(
        self,
        did: str,
        *,
        session_id: str | None = None,
        ring: int | None = None,
        name: str | None = None,
        caller: Extracted | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Scope[Agent]:
        """Record an agent's work: joined and finished. Within another's it is a delegation.

        Args:
            did: Its decentralised identifier.
            session_id: By default the session around it, else that of the *caller*'s baggage.
            ring: The privilege ring in which it starts, which is recorded as assigned; 0 is the
                innermost.
            name: For people; of low cardinality.
            caller: What ``extract`` gave for the message that asked for this work, where that
                came from another process: the agent's id is the one that it tells, or one
                beside that from the second agent on, and a link is recorded as
                ``caller_trace``.
            attributes: Of your own.

        Raises:
            TypeError: *caller* is not what ``extract`` gives.
        """
        check_caller(caller)
        scope: Scope[Agent] = self._writer.scope(
            lambda: open_agent(self._writer, did, session_id, ring, name, caller, attributes)
        )
        return scope

    def run(
        self,
        name: str,
        *,
        run_id: str | None = None,
        kind: str = "task",
        caller: Extracted | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Scope[Run]:
        """Record a run: what holds the agents of one task, and their handoffs, together.

        Args:
            name: What is run; of low cardinality.
            run_id: Unique; by default the name and a number.
            kind: ``task``, ``workflow``, ``graph`` or ``crew``.
            caller: As of ``agent``.
            attributes: Of your own.

        Raises:
            TypeError: *caller* is not what ``extract`` gives.
        """
        check_caller(caller)
        scope: Scope[Run] = self._writer.scope(
            lambda: open_run(self._writer, name, run_id, kind, caller, attributes)
        )
        return scope

    def tool(
        self,
        tool_name: str,
        *,
        call_id: str | None = None,
        attempt: int = 1,
        arguments: object = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Scope[ToolCall]:
        """Record a call of a tool.

        Args:
            tool_name: The tool.
            call_id: The id that the model, or another caller, gave the call.
            attempt: 1 for the first.
            arguments: What it is called with, where that is to be recorded.
            attributes: Of your own.
        """
        scope: Scope[ToolCall] = self._writer.scope(
            lambda: open_tool(self._writer, tool_name, call_id, attempt, arguments, attributes)
        )
        return scope

    def model(
        self,
        model: str,
        *,
        provider: str | None = None,
        operation: str = "chat",
        call_id: str | None = None,
        stream: bool | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Scope[ModelCall]:
        """Record a call of a model. Of a decorated generator the first value is the first token.

        Args:
            model: The model.
            provider: Who runs it.
            operation: ``chat``, ``embeddings`` or another of its operations.
            call_id: The id that its caller or provider gave the call.
            stream: Whether it answers in pieces.
            attributes: Of your own.
        """
        names = (model, provider, operation, call_id, stream)
        scope: Scope[ModelCall] = self._writer.scope(
            lambda: open_model(self._writer, *names, attributes)
        )
        return scope

    def saga(
        self,
        name: str,
        *,
        saga_id: str | None = None,
        step_count: int | None = None,
        compensate: bool = False,
        caller: Extracted | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Scope[Saga]:
        """Record a saga: created and completed, or escalated if it ends badly.

        Args:
            name: What kind of saga it is; of low cardinality.
            saga_id: Unique; by default the name and a number.
            step_count: How many steps it is going to have, if known.
            compensate: If the block raises, call the undos of its committed steps, newest
                first, before the exception goes on. An undo that raises does not keep the
                others from being called.
            caller: As of ``agent``.
            attributes: Of your own.

        Raises:
            TypeError: *caller* is not what ``extract`` gives.
        """
        check_caller(caller)
        undo = as_bool(compensate) is True
        names = (name, saga_id, step_count, caller, attributes)
        scope: Scope[Saga] = self._writer.scope(partial(open_saga, self._writer, *names, undo=undo))
        return scope

    def step(
        self,
        action: str,
        *,
        step_id: str | None = None,
        attempt: int = 1,
        max_retries: int | None = None,
        undo: Undo | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Scope[Step]:
        """Record a step of the saga around the code; outside of any, of a saga of its own.

        Args:
            action: As of ``Saga.step``, like the others.
            step_id: Likewise.
            attempt: Likewise.
            max_retries: Likewise.
            undo: Likewise.
            attributes: Likewise.
        """
        writer = self._writer
        names = (action, step_id, attempt, max_retries, undo, attributes)
        scope: Scope[Step] = self._writer.scope(partial(open_step_anywhere, writer, *names))
        return scope

    def elevation(
        self,
        from_ring: int,
        to_ring: int,
        *,
        reason: str = "",
        ttl_seconds: float | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Scope[Elevation]:
        """Record that the agent has another ring for the length of the block.

        Args:
            from_ring: Its ring before and after.
            to_ring: Its ring meanwhile; 0 is the innermost.
            reason: What for.
            ttl_seconds: For how long it was granted at most: a block that lasts longer ends
                with an expiry. Nothing interrupts it; ``Elevation.expired`` tells.
            attributes: Of your own.
        """
        names = (from_ring, to_ring, reason, ttl_seconds, attributes)
        scope: Scope[Elevation] = self._writer.scope(lambda: open_elevation(self._writer, *names))
        return scope

    ring_assigned = calls.ring_assigned
    breach = calls.breach
    decision = calls.decision
    usage = calls.usage
    handoff = calls.handoff
    vfs_write = calls.vfs_write

    open = keyed.open_under_key
    close = keyed.close_key
    point = keyed.record_point
    inside = keyed.stand_in_key
    innermost = keyed.innermost_of
    HERE = HERE
    """As a ``parent_key``: whatever scope the running code is in; none where it is in none."""

    def call_here(self, kind: CallKind, /) -> CallHere | None:
        """Give the innermost call of a *kind* that the running code is in; None: it is in none.

        It may have begun in this code or in what started it, by a key or a scope of this recorder.
        One that has ended does not count.
        """
        return call_here(self._writer.identity, kind)

    def emit(self, event: HypervisorEvent) -> None:
        """Record an event that was made elsewhere, with its own ids and time. Never raises."""
        self._writer.emit(event)

    def record(self, event_type: EventType, /, **payload: object) -> HypervisorEvent | None:
        """Record an event of any type in the place of the running code.

        Returns:
            The event; None if it could not be recorded.
        """
        return self._writer.write_here(event_type, payload)


def _outer_spans() -> OpenTelemetrySpans | None:
    try:
        return OpenTelemetrySpans()
    except ImportError:
        return None


def _watched_by(watch: Callable[[], Callable[[], object]]) -> Callable[[Callable[[], Any]], Any]:
    return lambda open_: WatchedScope(open_, watch())
