"""The recorder: what agents do, as events with the right ids, by context managers."""

from ..bus.event_bus import HypervisorEventBus
from ..causality.choices import IdWidth, check_id_width
from ..causality.propagation import Extracted
from ..events.event import HypervisorEvent
from ..events.event_types import GOVERNANCE_DECISION, USAGE_RECORDED, EventType
from ..values.truth import as_bool
from .agent import Agent, open_agent
from .elevation import Elevation, open_elevation
from .event_writer import EventWriter
from .opentelemetry_spans import OpenTelemetrySpans
from .place import check_caller
from .saga import Saga, open_saga, open_step_anywhere
from .saga_outcome import Undo
from .saga_step import Step
from .scope import Scope
from .session import Session, open_session
from .topics import Audit, Liability, Security, Verification, Vfs


class Recorder:
    """Records on a bus what happens between entry and exit of its context managers.

    They work with ``with`` and ``async with`` and nest over tasks and threads that carry
    the context along. Events take session, agent, causal id and parent event from the
    scopes around them. An exception in a block is recorded and passes through unchanged,
    be it a cancellation; a fault of recording itself is logged and never appears.

    Args:
        bus: Where the events go.
        id_width: How wide the ids of new traces are: ``short`` (12 and 8 digits), or ``w3c``
            (32 and 16).
        opentelemetry: Whether OpenTelemetry's active span is the parent of what begins below
            it, and ours the active one within. Nothing comes of it where the package
            opentelemetry-api is not installed.

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
    ) -> None:
        check_id_width(id_width)
        self._writer = EventWriter(bus, id_width, _outer_spans() if opentelemetry else None)
        record = self._writer.write_call
        self.audit = Audit(record)
        self.liability = Liability(record)
        self.security = Security(record)
        self.verification = Verification(record)
        self.vfs = Vfs(record)

    def session(self, session_id: str | None = None, **payload: object) -> Scope[Session]:
        """Record a session: created and terminated.

        It starts no trace, so a session may last for days: each agent that is not called by
        another starts one.

        Args:
            session_id: Unique; drawn by default.
            payload: More about it, such as ``max_participants``.
        """
        return Scope(lambda: open_session(self._writer, session_id, payload))

    def agent(
        self,
        did: str,
        *,
        session_id: str | None = None,
        ring: int | None = None,
        name: str | None = None,
        caller: Extracted | None = None,
    ) -> Scope[Agent]:
        """Record an agent's work: joined and finished. Within another's it is a delegation.

        Args:
            did: Its decentralised identifier.
            session_id: By default the session around it, else that of the *caller*'s baggage.
            ring: The privilege ring in which it starts; 0 is the innermost.
            name: For people; of low cardinality.
            caller: What ``extract`` gave for the message that asked for this work, where that
                came from another process: the agent's id is the one that it tells, or one
                beside that from the second agent on, and a link is recorded as
                ``caller_trace``.

        Raises:
            TypeError: *caller* is not what ``extract`` gives.
        """
        check_caller(caller)
        return Scope(lambda: open_agent(self._writer, did, session_id, ring, name, caller))

    def saga(
        self,
        name: str,
        *,
        saga_id: str | None = None,
        step_count: int | None = None,
        compensate: bool = False,
        caller: Extracted | None = None,
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

        Raises:
            TypeError: *caller* is not what ``extract`` gives.
        """
        check_caller(caller)
        undo = as_bool(compensate) is True
        return Scope(lambda: open_saga(self._writer, name, saga_id, step_count, caller, undo=undo))

    def step(
        self,
        action: str,
        *,
        step_id: str | None = None,
        attempt: int = 1,
        max_retries: int | None = None,
        undo: Undo | None = None,
    ) -> Scope[Step]:
        """Record a step of the saga around the code; outside of any, of a saga of its own.

        Args:
            action: As of ``Saga.step``, like the others.
            step_id: Likewise.
            attempt: Likewise.
            max_retries: Likewise.
            undo: Likewise.
        """
        return Scope(
            lambda: open_step_anywhere(self._writer, action, step_id, attempt, max_retries, undo)
        )

    def elevation(
        self, from_ring: int, to_ring: int, *, reason: str = "", ttl_seconds: float | None = None
    ) -> Scope[Elevation]:
        """Record that the agent has another ring for the length of the block.

        Args:
            from_ring: Its ring before and after.
            to_ring: Its ring meanwhile; 0 is the innermost.
            reason: What for.
            ttl_seconds: For how long it was granted at most: a block that lasts longer ends
                with an expiry. Nothing interrupts it; ``Elevation.expired`` tells.
        """
        return Scope(lambda: open_elevation(self._writer, from_ring, to_ring, reason, ttl_seconds))

    def ring_assigned(self, ring: int) -> HypervisorEvent | None:
        """Record that the agent was given a ring."""
        return self.record(EventType.RING_ASSIGNED, ring=ring)

    def breach(
        self,
        attempted_tool: str,
        *,
        ring: int,
        required_ring: int | None = None,
        severity: str = "medium",
    ) -> HypervisorEvent | None:
        """Record that the agent tried what its ring does not allow.

        Args:
            attempted_tool: What it tried to use.
            ring: The agent's ring.
            required_ring: The ring that the tool needs.
            severity: ``low``, ``medium``, ``high`` or ``critical``.
        """
        return self.record(
            EventType.RING_BREACH_DETECTED,
            attempted_tool=attempted_tool,
            ring=ring,
            required_ring=required_ring,
            severity=severity,
        )

    def decision(
        self,
        allowed: bool,  # noqa: FBT001 - as in GovernanceMetrics.record_decision, whose order is given
        *,
        tool_name: str,
        evaluation_ms: float | None = None,
        rate_limited: bool = False,
        reason: str = "",
    ) -> HypervisorEvent | None:
        """Record what the policy decided about the use of a tool.

        Args:
            allowed: Whether it may be used.
            tool_name: The tool.
            evaluation_ms: How long the decision took, in milliseconds.
            rate_limited: Whether it was refused for being used too often.
            reason: Why.
        """
        return self.record(
            GOVERNANCE_DECISION,
            allowed=as_bool(allowed),
            tool_name=tool_name,
            evaluation_ms=evaluation_ms,
            rate_limited=as_bool(rate_limited),
            reason=reason,
        )

    def vfs_write(
        self, path: str, *, content_hash: str | None = None, previous_hash: str | None = None
    ) -> HypervisorEvent | None:
        """Record that the agent wrote a file of the session: short for ``vfs.write``."""
        return self.vfs.write(path, content_hash=content_hash, previous_hash=previous_hash)

    def usage(
        self,
        *,
        model: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cost: float | None = None,
        currency: str | None = None,
    ) -> HypervisorEvent | None:
        """Record what the agent used of a model.

        Args:
            model: Which one.
            input_tokens: Tokens that it read.
            output_tokens: Tokens that it wrote.
            cost: What that costs.
            currency: Of the cost, as in ISO 4217.
        """
        return self.record(
            USAGE_RECORDED,
            model=model,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost=cost,
            currency=currency,
        )

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
