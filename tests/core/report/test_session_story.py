"""The story of a session."""

from hypervisor_observability import HypervisorEvent, HypervisorEventBus, Recorder
from hypervisor_observability.events.event_types import AGENT_HANDOFF, EventType
from hypervisor_observability.report import session
from hypervisor_observability.report.session import SessionStory
from tests.plugins.web import scenario


def told(*events: HypervisorEvent) -> SessionStory:
    story = SessionStory()
    for event in events:
        story.take(event)
    return story


def played() -> SessionStory:
    bus = HypervisorEventBus()
    scenario.play(Recorder(bus))
    return told(*bus.query_by_session(scenario.SESSION))


def test_agents_are_told_with_what_they_worked_on_and_how_it_ended() -> None:
    story = played()

    assert story.agents == {
        scenario.LEAD: "lead",
        scenario.BUILDER: "builder",
        scenario.ROGUE: "rogue",
    }
    assert {(one.kind, one.title, one.word) for one in story.stretches} >= {
        ("agent", "lead", "ok"),
        ("tool", "deploy", "blocked"),
        ("tool", "fetch", "error"),
        ("step", "charge", "failed"),
        ("model", "m-1", "ok"),
        ("agent", "rogue", "killed"),
    }
    assert all(one.ended_ns is not None for one in story.stretches)
    assert story.ended_ns == story.last_ns


def test_handoffs_files_and_decisions_are_told_in_their_order() -> None:
    story = played()

    assert [(one.kind, one.word, one.text, one.taker) for one in story.marks] == [
        ("decision", "allowed", "sign", ""),
        ("decision", "REFUSED", "deploy: ring 1 or better", ""),
        ("breach", "BREACH", "erase_disk", ""),
        ("handoff", "handed over", "needs a build", scenario.BUILDER),
        ("file", "wrote", "dist/compile.tar", ""),
        ("file", "wrote", "dist/upload.tar", ""),
        ("file", "deleted", "dist/old.tar", ""),
        ("quarantine", "quarantined", "ring_breach", ""),
        ("killed", "KILLED", "manual", ""),
    ]
    assert [one.word for one in story.marks if one.is_trouble] == [
        "REFUSED",
        "BREACH",
        "quarantined",
        "KILLED",
    ]


def test_handoff_between_agents_that_are_named_is_theirs_though_its_event_is_nobodys() -> None:
    handoff = HypervisorEvent(
        event_type=AGENT_HANDOFF, payload={"from_agent": "triage", "to_agent": "billing"}
    )
    join = HypervisorEvent(
        event_type=EventType.SESSION_JOINED, agent_did="did:a:7", payload={"name": "billing"}
    )
    story = told(handoff, join)

    (mark,) = story.marks
    assert (mark.agent, mark.taker) == ("triage", "billing")
    assert story.names.did_of(mark.taker) == "did:a:7"


def test_story_of_an_endless_session_is_bounded_and_says_what_it_leaves_out() -> None:
    story = told(
        *(
            HypervisorEvent(event_type=kind, agent_did=f"did:{number}")
            for number in range(session.MOST_MARKS + 3)
            for kind in (EventType.VFS_WRITE, EventType.SESSION_JOINED)
        )
    )

    assert (len(story.agents), len(story.marks)) == (session.MOST_AGENTS, session.MOST_MARKS)
    assert story.marks_left_out == 3
    assert story.agents_left_out == 2 * (session.MOST_MARKS + 3 - session.MOST_AGENTS)


def test_pieces_of_work_are_bounded_to_the_newest() -> None:
    story = told(
        *(
            HypervisorEvent(
                event_type=EventType.SESSION_JOINED,
                agent_did="did:a",
                causal_trace_id=f"a1b2c3d4e5f6/{number:08x}",
                payload={"name": str(number)},
            )
            for number in range(session.MOST_STRETCHES + 2)
        )
    )

    assert story.stretches_left_out == 2
    assert story.stretches[-1].title == str(session.MOST_STRETCHES + 1)
