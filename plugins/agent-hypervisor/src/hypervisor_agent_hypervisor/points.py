"""Where the source looks on: a table of their methods, and what becomes of a call of each."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from attrs import frozen

from hypervisor_agent_hypervisor.wrapping import Call
from hypervisor_agent_hypervisor.writer import Writer
from hypervisor_agent_hypervisor.writers import (
    audit,
    files,
    governance,
    liability,
    rings,
    sagas,
    security,
    sessions,
    their_events,
)

Writes = Callable[[Writer, Call], Any]


@frozen
class Point:
    """A method of theirs.

    Attributes:
        module: Where its class is.
        owner: Its class.
        method: Its name.
        after: Told when it has returned.
        raised: Told when it has raised.
        before: Told before; what it gives is ``Call.before``.
        only: ``"<5"``: it went with release 5; ``"5"``: it came with that; empty: neither.
    """

    module: str
    owner: str
    method: str
    after: Writes | None = None
    raised: Writes | None = None
    before: Writes | None = None
    only: str = ""

    @property
    def title(self) -> str:
        """What it is called."""
        return f"{self.owner}.{self.method}"

    def find(self) -> type | None:
        """Give the class that has it; None: there is none."""
        try:
            owner = getattr(import_module(self.module), self.owner, None)
        except Exception:  # noqa: BLE001 - what cannot be imported is not there
            return None
        return owner if isinstance(owner, type) and self.method in vars(owner) else None


def _of(where: str, *rows: tuple[Any, ...], only: str = "") -> Iterator[Point]:
    """Give the points of a class, ``MODULE:CLASS``: method, after, raised, before."""
    module, _, owner = where.partition(":")
    for method, *writes in rows:
        after, raised, before = [*writes, None, None][:3]
        yield Point(module, owner, method, after, raised, before, only)


POINTS = (
    *_of(
        "hypervisor.session:SharedSessionObject",
        ("__init__", sessions.created),
        ("join", sessions.joined),
        ("leave", sessions.left),
        ("activate", sessions.activated),
        ("terminate", sessions.terminated),
        ("archive", sessions.archived),
        ("update_ring", sessions.ring_updated, None, sessions.ring_before),
    ),
    *_of(
        "hypervisor.session.sso:SessionVFS",
        ("write", files.written, files.write_refused),
        ("read", None, files.read_refused),
        ("delete", files.deleted, files.delete_refused),
        ("create_snapshot", files.snapshot_taken),
        ("restore_snapshot", files.restored),
    ),
    *_of(
        "hypervisor.session.vector_clock:VectorClockManager",
        ("write", None, sessions.write_conflicted),
        only="<5",
    ),
    *_of(
        "hypervisor.session.intent_locks:IntentLockManager",
        ("acquire", None, sessions.lock_conflicted),
        only="<5",
    ),
    *_of(
        "hypervisor.session.isolation:SessionIsolationManager",
        ("check_access", sessions.access_checked),
        ("grant_cross_session_access", sessions.access_granted),
    ),
    *_of(
        "hypervisor.saga.orchestrator:SagaOrchestrator",
        ("create_saga", sagas.created),
        ("add_step", sagas.step_added),
        ("execute_step", sagas.led, sagas.led, sagas.step_led),
        ("compensate", sagas.led, sagas.led, sagas.compensation_led),
    ),
    *_of("hypervisor.saga.state_machine:Saga", ("transition", sagas.saga_moved)),
    *_of("hypervisor.saga.state_machine:SagaStep", ("transition", sagas.step_moved)),
    *_of(
        "hypervisor.saga.fan_out:FanOutOrchestrator",
        ("execute", sagas.fan_out_ended, sagas.fan_out_ended, sagas.fan_out_begun),
        only="<5",
    ),
    *_of(
        "hypervisor.saga.checkpoint:CheckpointManager",
        ("save", sagas.checkpoint_saved),
        only="<5",
    ),
    *_of(
        "hypervisor.rings.elevation:RingElevationManager",
        ("request_elevation", rings.elevated, rings.elevation_denied),
        ("revoke_elevation", rings.elevation_revoked, None, rings.elevation_before),
        ("tick", rings.elevations_expired),
        ("register_child", rings.child_registered),
    ),
    *_of(
        "hypervisor.rings.breach_detector:RingBreachDetector",
        ("record_call", rings.call_recorded),
    ),
    *_of(
        "hypervisor.rings.enforcer:RingEnforcer",
        ("check", rings.action_checked),
        ("check_resource", rings.resource_checked),
    ),
    *_of(
        "hypervisor.rings.enforcer:RingEnforcer",
        ("check_command", rings.command_checked),
        only="5",
    ),
    *_of(
        "hypervisor.liability.vouching:VouchingEngine",
        ("vouch", liability.vouched),
        ("release_bond", liability.bond_released, None, liability.bond_before),
        (
            "release_session_bonds",
            liability.session_bonds_released,
            None,
            liability.session_bonds_before,
        ),
        only="<5",
    ),
    *_of("hypervisor.liability.slashing:SlashingEngine", ("slash", liability.slashed), only="<5"),
    *_of(
        "hypervisor.liability.attribution:CausalAttributor",
        ("attribute", liability.attributed),
        only="<5",
    ),
    *_of(
        "hypervisor.liability.quarantine:QuarantineManager",
        ("quarantine", liability.quarantined),
        ("release", liability.quarantine_released),
        ("tick", liability.quarantines_expired),
        only="<5",
    ),
    *_of(
        "hypervisor.liability.ledger:LiabilityLedger",
        ("record", liability.ledger_written),
        only="<5",
    ),
    *_of("hypervisor.security.kill_switch:KillSwitch", ("kill", security.killed)),
    *_of(
        "hypervisor.security.rate_limiter:AgentRateLimiter",
        ("check", None, security.rate_limited),
    ),
    *_of(
        "hypervisor.audit.delta:DeltaEngine",
        ("capture", audit.captured),
        ("verify_chain", audit.chain_verified),
    ),
    *_of("hypervisor.audit.commitment:CommitmentEngine", ("commit", audit.committed), only="<5"),
    *_of("hypervisor.audit.gc:EphemeralGC", ("collect", audit.collected), only="<5"),
    *_of(
        "hypervisor.verification.history:TransactionHistoryVerifier",
        ("verify", audit.history_verified),
    ),
    *_of(
        "hypervisor.integrations.verification_adapter:VerificationAdapter",
        ("check_behavioral_drift", audit.drift_checked),
    ),
    *_of(
        "hypervisor.integrations.nexus_adapter:NexusAdapter",
        ("report_slash", liability.slash_reported),
    ),
    *_of(
        "hypervisor.integrations.iatp_adapter:IATPAdapter",
        ("analyze_manifest", audit.manifest_analyzed),
        ("analyze_manifest_dict", audit.manifest_analyzed),
    ),
    *_of(
        "hypervisor.observability.event_bus:HypervisorEventBus",
        ("emit", their_events.emitted, their_events.emitted),
    ),
    *_of(
        "agent_os.event_sink:GovernanceEventProcessor",
        ("on_event", governance.told),
        only="5",
    ),
)
"""All of them."""
