"""What the boards say of agents, sessions and sagas holds in unusual orders, too."""

from typing import Any

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.events.event_types import TOOL_STARTED
from tests.plugins.web.entries import BEGUN
from tests.plugins.web.test_web_boards import Asked

AGENT = "did:mesh:worker"


def at(second: float, kind: EventType | str, **fields: Any) -> HypervisorEvent:
    values = {"agent_did": AGENT, "session_id": "s", **fields}
    return HypervisorEvent(
        event_type=EventType(kind),
        timestamp=BEGUN + second,
        **values,
    )


def trace(number: int) -> str:
    return f"{number:032x}/{number:016x}"


def step(second: float, kind: EventType, **payload: object) -> HypervisorEvent:
    return at(second, kind, payload={"saga_id": "g", "step_id": "pay", **payload})


def agent_of(asked: Asked) -> dict[str, Any]:
    (row,) = asked.ask("agents")["agents"]
    assert isinstance(row, dict)
    return row


def test_end_of_a_step_that_names_no_attempt_ends_the_newest() -> None:
    asked = Asked(
        [
            step(0, EventType.SAGA_STEP_STARTED, attempt=1),
            step(1, EventType.SAGA_STEP_FAILED),
            step(2, EventType.SAGA_STEP_STARTED, attempt=2),
            step(3, EventType.SAGA_STEP_COMMITTED),
        ]
    )

    assert agent_of(asked)["doing"] is None
    assert [one[5] for one in asked.ask("session", id="s")["work"]] == ["failed", "committed"]


def test_session_that_begins_again_is_open() -> None:
    asked = Asked([at(0, EventType.SESSION_CREATED), at(1, EventType.SESSION_TERMINATED)])
    assert asked.ask("session", id="s")["ended"] is not None
    assert asked.ask("session")["sessions"][0]["ended"] is not None

    asked.take([at(2, EventType.SESSION_JOINED)])

    assert asked.ask("session", id="s")["ended"] is None
    assert asked.ask("session")["sessions"][0]["ended"] is None


def test_list_and_view_of_a_session_agree_where_clocks_do_not() -> None:
    asked = Asked([at(10, EventType.SESSION_CREATED), at(5, EventType.SESSION_JOINED)])

    (row,), story = asked.ask("session")["sessions"], asked.ask("session", id="s")

    assert (row["begun"], row["seen"]) == (story["begun"], story["seen"])
    assert row["seen"] - row["begun"] == 5_000_000
    assert agent_of(asked)["seen"] == row["seen"]


def test_agent_is_quarantined_until_the_last_quarantine_is_released() -> None:
    quarantines = [
        at(0, EventType.QUARANTINE_ENTERED, payload={"quarantine_id": "q-1"}),
        at(1, EventType.QUARANTINE_ENTERED, payload={"quarantine_id": "q-2"}),
        at(2, EventType.QUARANTINE_RELEASED, payload={"quarantine_id": "q-2"}),
    ]
    asked = Asked(quarantines)
    assert agent_of(asked)["state"] == "quarantined"

    asked.take([at(3, EventType.QUARANTINE_RELEASED, payload={"quarantine_id": "q-1"})])

    assert agent_of(asked)["state"] == "idle"


def test_agent_that_is_killed_in_one_session_works_on_in_another() -> None:
    asked = Asked(
        [
            at(0, EventType.SESSION_JOINED, causal_trace_id=trace(1)),
            at(0, EventType.SESSION_JOINED, causal_trace_id=trace(2), session_id="t"),
            at(1, TOOL_STARTED, causal_trace_id=trace(3), payload={"tool_name": "dig"}),
            at(
                1,
                TOOL_STARTED,
                causal_trace_id=trace(4),
                session_id="t",
                payload={"tool_name": "fill"},
            ),
            at(2, EventType.AGENT_KILLED, causal_trace_id=trace(1)),
        ]
    )
    row = agent_of(asked)
    assert (row["state"], row["doing"][1], row["more"]) == ("running", "fill", 0)

    asked.take([at(3, EventType.AGENT_KILLED, causal_trace_id=trace(2), session_id="t")])

    row = agent_of(asked)
    assert (row["state"], row["doing"]) == ("killed", None)


def test_event_without_an_agent_makes_no_row() -> None:
    asked = Asked([at(0, EventType.SESSION_JOINED, agent_did=None)])

    assert asked.ask("agents")["agents"] == []


def test_saga_of_a_killed_process_is_not_mixed_with_the_next_of_its_id() -> None:
    def saga(second: float, kind: EventType, number: int) -> HypervisorEvent:
        payload = {"saga_id": "g", "step_id": "pay", "action": "pay"}
        return at(second, kind, causal_trace_id=trace(number), payload=payload)

    asked = Asked(
        [
            saga(0, EventType.SAGA_CREATED, 1),
            saga(1, EventType.SAGA_STEP_STARTED, 1),
            saga(60, EventType.SAGA_CREATED, 2),
            saga(61, EventType.SAGA_STEP_STARTED, 2),
            saga(62, EventType.SAGA_STEP_COMMITTED, 2),
            saga(63, EventType.SAGA_COMPLETED, 2),
        ]
    )

    (lane,) = [lane for lane in asked.ask("sagas")["lanes"] if lane["count"]]
    (told,) = lane["sagas"]
    assert lane["lane"] == "committed"
    assert [piece[1] for piece in told["pieces"]] == ["committed"]
    assert told["ended"] - told["begun"] == 3_000_000
