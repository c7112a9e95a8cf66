"""What agent-governance-toolkit tells its sinks is seen, with the ids that it brings."""

import importlib
import subprocess
import sys
import time
from typing import Any

import pytest

from hypervisor_observability import Recorder
from tests.sources.governed import all_of, governed, import_quietly, only

A = "did:mesh:a"
TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"

import_quietly("agent_os")
EVENTS: Any = importlib.import_module("agent_os.event_sink")


def told(kind: str, **fields: Any) -> Any:
    """Give a governance event to a processor; give the event."""
    event = EVENTS.GovernanceEvent(kind=EVENTS.GovernanceEventKind(kind), agent_did=A, **fields)
    processor = EVENTS.GovernanceEventProcessor()
    processor.on_event(event)
    processor.shutdown()
    return event


def test_decision_is_seen_with_its_latency_and_its_ids() -> None:
    with governed() as bus:
        event = told(
            "policy_check", action="send_mail", decision="allow", latency_ms=1.5, session_id="s-1",
            trace_id=TRACE, span_id=SPAN, parent_span_id=PARENT, policy_name="mail",
            attributes={"team": "blue", "deep": {"a": 1}},
        )  # fmt: skip

    decision = only(bus, "governance.decision")
    assert decision.payload == {
        "allowed": True, "tool_name": "send_mail", "evaluation_ms": 1.5,
        "attributes": {"team": "blue", "policy_name": "mail"},
    }  # fmt: skip
    assert (decision.agent_did, decision.session_id) == (A, "s-1")
    assert decision.causal_trace_id == f"{TRACE}/{SPAN}/{PARENT}"
    assert decision.event_id == event.event_id
    assert decision.timestamp.isoformat() == event.occurred_at


@pytest.mark.parametrize("decision", ["deny", "block", "", "escalate"])
def test_only_what_allows_is_allowed(decision: str) -> None:
    with governed() as bus:
        told("policy_check", action="send_mail", decision=decision)

    assert only(bus, "governance.decision").payload["allowed"] is False


@pytest.mark.parametrize("kind", ["policy_violation", "tool_call_blocked", "identity_rejected"])
def test_refusal_is_a_refused_decision_whatever_else_it_says(kind: str) -> None:
    with governed() as bus:
        told(kind, action="send_mail", decision="allow", reason="no")

    refused = only(bus, "governance.decision").payload
    assert (refused["allowed"], refused["reason"]) == (False, "no")


@pytest.mark.parametrize(
    ("severity", "seen"), [("info", "low"), ("warning", "medium"), ("critical", "critical")]
)
def test_attack_is_a_breach(severity: str, seen: str) -> None:
    with governed() as bus:
        told("prompt_injection_detected", action="read", severity=severity, decision="deny")

    breach = only(bus, "ring.breach_detected").payload
    assert (breach["severity"], breach["attempted_tool"], breach["denied"]) == (seen, "read", True)
    assert breach["attributes"]["kind"] == "prompt_injection_detected"


def test_identity_is_verified() -> None:
    with governed() as bus:
        told("identity_verified", action="did_auth")

    verified = only(bus, "security.identity_verified")
    assert (verified.agent_did, verified.payload) == (A, {"method": "did_auth"})


@pytest.mark.parametrize("kind", EVENTS.GovernanceEventKind, ids=lambda kind: kind.value)
def test_event_of_each_kind_is_seen_once_and_valid(kind: Any) -> None:
    event = EVENTS.GovernanceEvent(kind=kind, agent_id="a", action="act", severity="odd")
    with governed() as bus:
        for processor in (EVENTS.GovernanceEventProcessor(), EVENTS.GovernanceEventProcessor()):
            processor.on_event(event)

    (seen,) = bus.all_events
    assert seen.agent_did == "a"


@pytest.mark.parametrize("trace", ["", "no/id", "x" * 200])
def test_trace_that_is_none_is_the_one_around(trace: str) -> None:
    with governed() as bus:
        with Recorder(bus).agent(A) as agent:
            told("policy_check", action="act", trace_id=trace, span_id=None)

    assert only(bus, "governance.decision").causal_trace_id == agent.trace.full_id


def test_sinks_and_accounts_of_a_processor_are_its_own() -> None:
    class Sink:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def emit(self, events: Any) -> Any:
            self.seen.extend(events)
            return EVENTS.SinkExportResult.SUCCESS

        def shutdown(self, timeout_ms: int = 5000) -> bool:
            return True

        def force_flush(self, timeout_ms: int = 30000) -> bool:
            return True

    with governed() as bus:
        processor = EVENTS.GovernanceEventProcessor().add_sink(sink := Sink())
        assert processor._sinks == [sink]
        processor.on_event(EVENTS.GovernanceEvent(action="act"))
        assert processor.force_flush()
        assert processor.shutdown()
        processor.on_event(EVENTS.GovernanceEvent(action="late"))

    assert [one.action for one in sink.seen] == ["act"]
    if hasattr(processor, "submitted_count"):  # release 4 keeps no accounts
        assert (processor.submitted_count, processor.delivered_count) == (2, 1)
    decisions = all_of(bus, "governance.decision")
    assert [one.payload["tool_name"] for one in decisions] == ["act", "late"]


ALONE = """
import sys, warnings
warnings.simplefilter("error", DeprecationWarning)
from hypervisor_agent_hypervisor import AgentHypervisorSource
from hypervisor_observability import Observability

with Observability(plugins=[AgentHypervisorSource()]) as observability:
    bus, name = observability.bus, "agent-hypervisor"
    assert observability.states()[name].startswith("waiting for hypervisor or agent_os")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from agent_os.event_sink import GovernanceEvent, GovernanceEventProcessor
    assert "hypervisor.core" not in sys.modules
    GovernanceEventProcessor().on_event(GovernanceEvent(action="act", decision="allow"))
    assert [event.event_type.value for event in bus.all_events] == ["governance.decision"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from hypervisor import SessionConfig, SharedSessionObject
    SharedSessionObject(SessionConfig(), "did:mesh:admin")
    assert bus.event_count == 2
    assert observability.status()["sources"][name] == {"state": "running", "errors": 0}
"""


def test_each_of_the_two_packages_may_be_imported_alone_and_in_any_order() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 120
