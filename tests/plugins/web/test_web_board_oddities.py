"""Whatever events hold, no board stumbles over one: all others would miss those that follow."""

import json
import threading

from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypervisor_observability import HypervisorEvent
from hypervisor_observability.events.event_types import (
    AGENT_HANDOFF,
    MODEL_FINISHED,
    MODEL_STARTED,
    RUN_FINISHED,
    RUN_STARTED,
    TOOL_FINISHED,
    TOOL_STARTED,
)
from hypervisor_observability.events.frozen_containers import erased_payload
from hypervisor_observability.serving.pages import Request
from hypervisor_observability.stores import Entry
from hypervisor_web.boards.endpoints import Answers, Boards
from hypervisor_web.boards.health import Health
from tests.core.test_odd_payloads import EVENTS, PAYLOADS, TRACE, TYPES

CALLS = [
    AGENT_HANDOFF,
    MODEL_FINISHED,
    MODEL_STARTED,
    RUN_FINISHED,
    RUN_STARTED,
    TOOL_FINISHED,
    TOOL_STARTED,
]
ODD = EVENTS | st.builds(
    HypervisorEvent,
    event_type=st.sampled_from([*TYPES, *CALLS]),
    timestamp=st.sampled_from([1_800_000_000.0, 1.0, -1.0]),
    session_id=st.sampled_from([None, "s", ""]),
    agent_did=st.sampled_from([None, "a", "", "\ud800"]),
    causal_trace_id=st.sampled_from([None, TRACE.full_id, "no id", "///", ""]),
    payload=PAYLOADS | st.builds(erased_payload),
)


@frozen
class Recorded:
    """Events that are all past."""

    entries: list[Entry]

    def past(self, session: str, most: int) -> list[Entry]:
        return [one for one in self.entries if one.event.session_id == session][-most:]

    def news(self, session: str, place: int | None) -> tuple[int, list[Entry]]:
        assert session
        return place or 0, []


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ODD, max_size=12))
def test_boards_take_any_events_and_answer_in_strict_json(events: list[HypervisorEvent]) -> None:
    boards = Boards()
    entries = [Entry("", number, event) for number, event in enumerate(events)]
    answers = Answers(
        boards=boards,
        lock=threading.Lock(),
        session_events=Recorded(entries),
        health=Health,
    )
    for entry in entries:
        boards.take(entry, entry.sequence)
    pages = answers.endpoints()
    sessions = json.loads(pages["/api/session"](Request()).body)["sessions"]
    for path in pages:
        json.loads(pages[path](Request()).body)
    for session in sessions:
        if session["id"]:
            told = pages["/api/session"](Request(query={"id": session["id"]}))
            assert json.loads(told.body)["events"] == session["events"]
