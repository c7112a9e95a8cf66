"""The tree as text and as JSON."""

import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import (
    AGENT_FINISHED,
    GOVERNANCE_DECISION,
    EventType,
)
from hypervisor_observability.recorder import Recorder
from hypervisor_observability.text.terminal_text import columns
from hypervisor_observability.tree import TraceTree, build_tree, render_tree, tree_to_dict


class FailedTestError(Exception):
    pass


def event(causal_id: str, event_type: EventType, at: float = 0.0, **fields: Any) -> HypervisorEvent:
    fields.setdefault("agent_did", None)
    did = fields.pop("agent_did")
    return HypervisorEvent(
        event_type=event_type,
        causal_trace_id=causal_id,
        timestamp=at,
        agent_did=did,
        session_id=fields.pop("session_id", None),
        payload=fields,
    )


def drawn(*events: HypervisorEvent, **options: Any) -> list[str]:
    """The lines without their trace, and with single spaces where columns are padded."""
    lines = render_tree(build_tree(events, "t"), **options).splitlines()
    assert lines[0] == "trace t"
    return [re.sub(r"(?<=[^\s│]) {2,}", " ", line) for line in lines[1:]]


@pytest.fixture(scope="module")
def release() -> TraceTree:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    with (
        pytest.raises(FailedTestError),
        recorder.session("s1"),
        recorder.agent("did:mesh:lead", ring=2, name="lead") as lead,
        recorder.saga("release", saga_id="r-1", compensate=True) as saga,
    ):
        with recorder.agent("did:mesh:builder", ring=3):
            with saga.step("compile"):
                pass
            with recorder.elevation(3, 1, reason="write files"):
                recorder.breach("shell", ring=3, required_ring=0, severity="high")
                recorder.decision(False, tool_name="curl", reason="not on the list")
                recorder.decision(True, tool_name="tar")
                with recorder.agent("did:mesh:archiver"):
                    pass
            with saga.step("archive", undo=lambda: None):
                pass
        with saga.step("test", attempt=2):
            raise FailedTestError("1 of 3 tests failed")
    return build_tree(bus.all_events, lead.trace.trace_id)


def without_times(text: str) -> str:
    return re.sub(r" +\d[\d.]* (us|ms|s)\b", " T", text)


def test_run_is_drawn_with_everything_in_its_place(release: TraceTree) -> None:
    assert without_times(render_tree(release)).splitlines()[1:] == [
        "agent lead (did:mesh:lead, ring 2) T FAILED",
        "└─ saga release (r-1) T compensated",
        "   ├─ agent did:mesh:builder (ring 3) T ok",
        "   │  └─ elevation ring 3 to 1 T ended",
        "   │     │  write files",
        "   │     ├─ breach shell (ring 3, needs 0, high)                     BREACH",
        "   │     ├─ decision curl                                            REFUSED",
        "   │     │     not on the list",
        "   │     └─ agent did:mesh:archiver T ok",
        "   ├─ step compile (by did:mesh:builder) T ok",
        "   ├─ step archive (by did:mesh:builder) T undone",
        "   │  └─ compensation undo-archive T ok",
        "   └─ step test (attempt 2) T FAILED",
        "         FailedTestError: 1 of 3 tests failed",
    ]


@pytest.mark.parametrize("width", [10, 40, 60, 80, 120])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_lines_keep_to_the_width(release: TraceTree, width: int, ascii_only: bool) -> None:
    text = render_tree(release, width=width, ascii=ascii_only)

    assert max(map(columns, text.splitlines())) <= max(width, 40)
    assert "FAILED" in text
    assert not ascii_only or text.isascii()


def test_colour_comes_only_when_asked_for_and_changes_nothing_else(release: TraceTree) -> None:
    plain, coloured = render_tree(release), render_tree(release, color=True)

    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[\d*m", "", coloured) == plain
    assert "\x1b[31mFAILED\x1b[0m" in coloured


def test_json_holds_edges_and_work(release: TraceTree) -> None:
    values = json.loads(json.dumps(tree_to_dict(release)))

    assert values["trace_id"] == release.trace_id
    assert values["roots"] == list(release.roots)
    assert values["unreadable"] == 0
    spans = {span["span_id"]: span for span in values["spans"]}
    assert set(spans) == set(release.nodes)
    assert sum(len(span["events"]) for span in values["spans"]) == sum(
        len(node.events) for node in release.nodes.values()
    )
    work = values["work"]
    (undo,) = [item for item in work if item["kind"] == "compensation"]
    assert work[undo["parent"]]["title"] == "archive"
    assert work[undo["parent"]]["word"] == "undone"
    assert spans[undo["span_id"]]["parent_span_id"] == spans[work[1]["span_id"]]["span_id"]
    assert work[0]["parent"] is None
    assert work[0]["ring"] == "2"


def test_saga_written_by_hand_under_one_id_is_drawn_whole() -> None:
    names = {"saga_id": "deploy", "agent_did": "did:a"}
    validate = {**names, "step_id": "v", "step_action": "validate"}

    assert drawn(
        event("t/a", EventType.SAGA_CREATED, 1, **names),
        event("t/a", EventType.SAGA_STEP_STARTED, 2, **validate),
        event("t/a", EventType.RING_BREACH_DETECTED, 3, attempted_tool="sh", agent_did="did:b"),
        event("t/a", EventType.SAGA_STEP_COMMITTED, 4, **validate),
        event("t/a", EventType.SAGA_STEP_STARTED, 4, step_id="m", action="migrate", **names),
        event("t/a", EventType.SAGA_STEP_FAILED, 4.5, step_id="m", error="timeout", **names),
        event("t/a", EventType.SAGA_COMPENSATING, 5, step_id="roll", step_action="roll", **names),
        event("t/a", EventType.SAGA_ESCALATED, 99, outcome="failed", reason="gave up", **names),
    ) == [
        "saga deploy (by did:a) 1 m 38 s FAILED",
        "│  gave up",
        "├─ step validate 2.00 s ok",
        "├─ breach sh (by did:b) BREACH",
        "├─ step migrate 500 ms FAILED",
        "│     timeout",
        "└─ compensation roll ok",
    ]


def test_saga_that_escalates_says_so() -> None:
    lines = drawn(event("t/a", EventType.SAGA_ESCALATED, 1, saga_id="d", reason="an undo failed"))

    assert lines == ["saga d ESCALATED", "   an undo failed"]


def test_what_never_ended_is_running() -> None:
    assert drawn(
        event("t/a", EventType.SESSION_JOINED, agent_did="did:a"),
        event("t/a", EventType.RING_ELEVATED, agent_did="did:a", to_ring=1),
        event("t/b/a", EventType.SAGA_CREATED, saga_id="s", name="deploy"),
        event("t/c/b", EventType.SAGA_STEP_STARTED, saga_id="s", step_id="x"),
        event("t/d/b", EventType.SAGA_COMPENSATING, saga_id="s", step_id="u", phase="started"),
    ) == [
        "agent did:a running",
        "├─ elevation ring ? to 1 running",
        "└─ saga deploy (s) running",
        "   ├─ step x running",
        "   └─ compensation u running",
    ]


def test_elevation_without_an_id_ends_by_agent_and_session() -> None:
    lines = drawn(
        event("t/a", EventType.SESSION_JOINED, 0, agent_did="did:a"),
        event("t/a", EventType.RING_ASSIGNED, 0, agent_did="did:a", ring=3),
        event("t/a", EventType.RING_ASSIGNED, 0, agent_did="did:b", ring=0),
        event("t/a", EventType.RING_DEMOTED, 0, agent_did="did:a", to_ring=3),
        event("t/a", EventType.RING_ELEVATED, 1, agent_did="did:a", from_ring=3, to_ring=1),
        event("t/a", EventType.RING_ELEVATION_EXPIRED, 7_201, agent_did="did:a"),
    )

    assert lines == ["agent did:a (ring 3) running", "└─ elevation ring 3 to 1 2 h 00 m expired"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("cook", "agent cook (did:a, ring 2) running"),
        ("did:a", "agent did:a (ring 2) running"),
        (None, "agent did:a (ring 2) running"),
    ],
)
def test_agent_is_named_once_where_its_name_is_its_id(name: str | None, line: str) -> None:
    told: dict[str, Any] = {} if name is None else {"name": name}
    joined = event("t/a", EventType.SESSION_JOINED, agent_did="did:a", ring=2, **told)

    assert drawn(joined) == [line]


def test_incidents_of_other_kinds_are_drawn() -> None:
    lines = drawn(
        event("t/a", EventType.AGENT_KILLED, agent_did="did:a", severity="high", reason="loop"),
        event("t/a", GOVERNANCE_DECISION, allowed=False, tool_name="api", rate_limited=True),
        event("t/a", GOVERNANCE_DECISION, allowed=True, tool_name="api"),
        event("t/a", AGENT_FINISHED, agent_did="did:a", status="ok"),
    )

    assert lines == [
        "agent did:a",
        "├─ incident agent killed high",
        "│     loop",
        "└─ decision api (rate limited) REFUSED",
    ]


def test_failed_compensation_says_why() -> None:
    lines = drawn(
        event("t/a", EventType.SAGA_CREATED, saga_id="s"),
        event("t/b/a", EventType.SAGA_STEP_COMMITTED, saga_id="s", step_id="x"),
        event(
            "t/c/a",
            EventType.SAGA_COMPENSATING,
            saga_id="s",
            step_id="u",
            compensates_step_id="x",
            phase="failed",
            error="disk full",
        ),
    )

    assert lines[1:] == [
        "└─ step x ok",
        "   └─ compensation u FAILED",
        "         disk full",
    ]


def test_agent_whose_last_word_is_a_failure_says_why_unless_its_step_did() -> None:
    lines = drawn(
        event("t/a", EventType.SESSION_JOINED, agent_did="did:a"),
        event("t/b/a", EventType.SESSION_JOINED, agent_did="did:b"),
        event("t/b/a", AGENT_FINISHED, agent_did="did:b", status="error", error="no disk"),
        event("t/a", AGENT_FINISHED, agent_did="did:a", status="error", error="no disk"),
    )

    assert lines == ["agent did:a 0 us FAILED", "└─ agent did:b 0 us FAILED", "      no disk"]


def test_what_is_odd_about_the_edges_is_told() -> None:
    lines = drawn(
        event("t/b/a", EventType.VFS_WRITE, session_id="s1"),
        event("t/r", EventType.VFS_WRITE, agent_did="did:r"),
        event("t/q", EventType.VFS_WRITE, agent_did="did:q"),
        event("t/x/r", EventType.VFS_WRITE),
        event("t/x/q", EventType.VFS_WRITE),
        event("t/x/y/z", EventType.VFS_WRITE),
    )

    assert lines == [
        "agent did:r",
        "└─ span x (its parent is disputed)",
        "agent did:q (second root)",
        "span a (nothing recorded)",
        "└─ session s1",
        "left out: 1 events with unreadable causal ids",
    ]


def test_end_recorded_under_another_id_closes_what_was_begun() -> None:
    names = {"saga_id": "s", "step_id": "x"}
    lines = drawn(
        event("t/a", EventType.SAGA_STEP_STARTED, 1, **names),
        event("t/b/a", EventType.SAGA_STEP_COMMITTED, 2, agent_did="did:b", **names),
        event("t/b/a", EventType.RING_ASSIGNED, 2, ring=2, agent_did="did:b"),
    )

    assert lines == ["step x 1.00 s ok", "└─ agent did:b (ring 2)"]


def test_trace_that_nobody_recorded_is_said_to_be_empty() -> None:
    assert drawn() == ["no events of this trace"]


def is_harmless(text: str) -> bool:
    found = {unicodedata.category(character) for character in text.replace("\n", "")}
    return found.isdisjoint({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})


HOSTILE = "\x1b[2J\x07\r\n\x7f\x9b\u202eevil\u2066\u200b\ufeff\u2028\ud800\U000e0041"


def test_nothing_that_events_say_commands_the_terminal() -> None:
    agent: dict[str, Any] = {"agent_did": HOSTILE, "name": HOSTILE, "ring": HOSTILE}
    events = [
        event("t/a", EventType.SESSION_JOINED, **agent),
        event("t/a", EventType.AGENT_KILLED, severity=HOSTILE, reason=HOSTILE),
        event("t/b/a", EventType.SAGA_CREATED, saga_id=HOSTILE, name=HOSTILE),
        event("t/c/b", EventType.SAGA_STEP_FAILED, error=HOSTILE, step_action=HOSTILE),
    ]

    text = render_tree(build_tree(events, "t"), width=500)

    assert is_harmless(text)
    assert "\\x1b[2J\\x07" in text
    assert len(text.split("\n")) == 7


KEYS = ["saga_id", "step_id", "phase", "reason", "ring", "attempt", "allowed", "name"]
KEYS += ["compensates_step_id", "outcome", "status", "severity"]


@given(
    parts=st.lists(
        st.tuples(
            st.sampled_from(["t/a", "t/b/a", "t/c/b", "t/c/a", "t/a/c"]),
            st.sampled_from([*EventType, AGENT_FINISHED, GOVERNANCE_DECISION]),
            st.dictionaries(
                st.sampled_from(KEYS),
                st.one_of(
                    st.text(max_size=30),
                    st.sampled_from(["x", "y", "failed", "started", "error"]),
                    st.booleans(),
                    st.integers(),
                    st.none(),
                    st.lists(st.integers(), max_size=2),
                ),
            ),
        ),
        max_size=12,
    ),
    width=st.integers(min_value=0, max_value=100),
    ascii_only=st.booleans(),
)
def test_whatever_was_recorded_is_drawn_within_the_width(
    parts: list[tuple[str, EventType, dict[str, Any]]], width: int, ascii_only: bool
) -> None:
    events = [event(causal_id, kind, **payload) for causal_id, kind, payload in parts]
    tree = build_tree(events, "t")

    lines = render_tree(tree, width=width, ascii=ascii_only).split("\n")

    assert is_harmless("\n".join(lines))
    assert max(map(columns, lines)) <= max(width, 40)
    json.dumps(tree_to_dict(tree))


def test_very_deep_tree_is_drawn_within_the_width() -> None:
    texts = ["t/s0", *(f"t/s{number}/s{number - 1}" for number in range(1, 600))]
    events = [event(text, EventType.SESSION_JOINED, agent_did="did:x") for text in texts]
    tree = build_tree(events, "t")

    lines = render_tree(tree, width=60).split("\n")

    assert len(lines) == 601
    assert max(map(columns, lines)) <= 60
    assert "agent did:x" in lines[-1]
    json.dumps(tree_to_dict(tree))


def test_reason_of_a_step_is_told_where_only_an_agent_within_has_it_too() -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    with (
        pytest.raises(FailedTestError),
        recorder.agent("did:mesh:lead") as lead,
        recorder.saga("release") as saga,
        saga.step("test"),
        recorder.agent("did:mesh:tester"),
    ):
        raise FailedTestError("1 of 5 failed")

    text = render_tree(build_tree(bus.all_events, lead.trace.trace_id))

    assert text.count("1 of 5 failed") == 1
