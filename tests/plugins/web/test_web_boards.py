"""What the boards make of events, without a browser."""

import json
import threading
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import pytest
from attrs import define, field

from hypervisor_observability import EventType, HypervisorEvent, HypervisorEventBus, Recorder
from hypervisor_observability.events.event_types import TOOL_FINISHED, TOOL_STARTED
from hypervisor_observability.serving.pages import Refused, Request
from hypervisor_observability.stores import Entry
from hypervisor_web.boards import agents, sagas, sessions, traces
from hypervisor_web.boards.endpoints import Answers, Boards
from hypervisor_web.boards.health import Health
from tests.plugins.web import scenario


@define(eq=False)
class Asked:
    """Boards, what they answer, and where they find the events of sessions.

    Attributes:
        oldest: The place of the first event that is kept.
        told: How often a session was told from its past.
    """

    events: list[HypervisorEvent] = field(factory=list)
    boards: Boards = field(factory=Boards)
    health: Health = field(factory=Health)
    oldest: int = field(default=0, init=False)
    told: int = field(default=0, init=False)
    answers: Answers = field(init=False)

    def __attrs_post_init__(self) -> None:
        given, self.events = self.events, []
        self.answers = Answers(
            boards=self.boards,
            lock=threading.Lock(),
            session_events=self,
            health=lambda: self.health,
            page=lambda: {"events_kept": len(self.events)},
            health_seconds=0,
        )
        self.take(given)

    def take(self, events: Iterable[HypervisorEvent]) -> None:
        for event in events:
            self.boards.take(Entry("", len(self.events), event), len(self.events))
            self.events.append(event)

    def ask(self, path: str, **query: str) -> Any:
        page = self.answers.endpoints()[f"/api/{path}"](Request(query=query))
        return None if page.status is HTTPStatus.NO_CONTENT else json.loads(page.body)

    def past(self, session: str, most: int) -> Sequence[Entry]:
        self.told += 1
        return self._of(session, 0)[-most:]

    def news(self, session: str, place: int | None) -> tuple[int, Sequence[Entry]] | None:
        if place is None:
            return len(self.events), ()
        return None if place < self.oldest else (len(self.events), self._of(session, place))

    def _of(self, session: str, first: int) -> list[Entry]:
        return [
            Entry("", number, event)
            for number, event in enumerate(self.events)
            if number >= first and event.session_id == session
        ]


def played() -> Asked:
    bus = HypervisorEventBus()
    scenario.play(Recorder(bus))
    return Asked(list(bus.all_events))


def agent_named(asked: Asked, name: str) -> Any:
    (found,) = [one for one in asked.ask("agents")["agents"] if one["name"] == name]
    return found


# Agents


def test_agent_has_its_tools_refusals_breaches_and_costs() -> None:
    lead = agent_named(played(), "lead")

    assert lead["tools"] == [["sign", 1], ["deploy", 1]]
    assert lead["refused"] == [["deploy", 2]]  # a decision that denied it, and the refused call
    assert (lead["refusals"], lead["breaches"], lead["failed"]) == (2, 1, [])
    assert (lead["tokens"], lead["cost"], lead["spent"]) == (1_280, "0.004 EUR", 0.004)
    assert (lead["state"], lead["ring"], lead["elevated"]) == ("idle", 2, False)
    assert lead["session"] == scenario.SESSION


def test_tools_and_own_work_of_an_agent_that_failed_are_told() -> None:
    asked = played()
    builder, rogue = agent_named(asked, "builder"), agent_named(asked, "rogue")

    assert (builder["tools"], builder["failed"]) == ([["fetch", 1]], [["fetch", 1]])
    assert builder["failed_work"] == 0
    assert (rogue["failed"], rogue["failed_work"]) == ([], 1)


def test_agent_that_works_says_at_what_in_which_ring_and_until_when() -> None:
    asked = played()
    watcher = agent_named(asked, "watcher")
    (elevated,) = [
        one
        for one in asked.events
        if one.event_type == EventType.RING_ELEVATED and one.agent_did == scenario.WATCHER
    ]

    assert watcher["state"] == "running"
    assert watcher["doing"][:2] == ["step", "back up"]
    assert watcher["more"] == 1  # the tool around it
    assert watcher["trace"] == watcher["doing"][3]
    assert (watcher["ring"], watcher["elevated"]) == (1, True)
    assert watcher["until"] == (elevated.timestamp_ns + 3_600_000_000_000) // 1_000


def test_agent_whose_work_has_ended_is_idle_and_in_its_own_ring() -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    scenario.begin_to_watch(recorder)
    scenario.end_watch(recorder, "no answer")
    watcher = agent_named(Asked(list(bus.all_events)), "watcher")

    assert (watcher["state"], watcher["doing"], watcher["ring"]) == ("idle", None, 3)


def test_killed_agent_is_killed_until_it_joins_again() -> None:
    asked = played()
    assert agent_named(asked, "rogue")["state"] == "killed"

    join = HypervisorEvent(event_type=EventType.SESSION_JOINED, agent_did=scenario.ROGUE)
    released = HypervisorEvent(
        event_type=EventType.QUARANTINE_RELEASED,
        agent_did=scenario.ROGUE,
        payload={"quarantine_id": "q-1"},
    )
    asked.take([join])
    assert agent_named(asked, "rogue")["state"] == "quarantined"
    asked.take([released])
    assert agent_named(asked, "rogue")["state"] == "running"


def test_agent_whose_session_has_ended_works_no_more() -> None:
    asked = Asked(
        [
            HypervisorEvent(event_type=kind, agent_did=did, session_id="s")
            for kind, did in (
                (EventType.SESSION_JOINED, "did:a"),
                (EventType.SESSION_JOINED, "did:b"),
                (EventType.SESSION_TERMINATED, None),
            )
        ]
    )

    assert [one["state"] for one in asked.ask("agents")["agents"]] == ["idle", "idle"]


def test_thousand_agents_have_rows_and_what_is_left_out_is_told() -> None:
    count = agents.MOST_AGENTS + 5
    asked = Asked(
        [
            HypervisorEvent(event_type=EventType.RING_ASSIGNED, agent_did=f"did:{number}")
            for number in range(count)
        ]
    )
    told = asked.ask("agents")

    assert (len(told["agents"]), told["left_out"]) == (agents.MOST_AGENTS, 5)
    assert told["agents"][0]["did"] == f"did:{count - 1}"
    assert told["since"] == asked.events[0].timestamp_ns // 1_000


def test_tools_of_an_agent_are_bounded() -> None:
    events = [
        HypervisorEvent(
            event_type=kind,
            agent_did="did:a",
            causal_trace_id=f"a1b2c3d4e5f6/{number:08x}",
            payload={"tool_name": f"tool-{number}"},
        )
        for number in range(agents.MOST_TOOLS + 40)
        for kind in (TOOL_STARTED, TOOL_FINISHED)
    ]
    begun = [one for one in events if one.event_type == TOOL_STARTED]
    (row,) = Asked([*events, *begun, *begun]).ask("agents")["agents"]

    assert len(row["tools"]) == agents.MOST_TOOLS + 1
    assert row["tools"][0] == ["other", 40]
    assert row["more"] == 63


# Sagas


def test_sagas_stand_in_their_lanes_with_their_steps() -> None:
    told = played().ask("sagas")
    lanes = {lane["lane"]: lane for lane in told["lanes"]}

    assert [lane["lane"] for lane in told["lanes"]] == list(sagas.LANES)
    assert {name: [one["id"] for one in lane["sagas"]] for name, lane in lanes.items()} == {
        "running": ["nightly-1"],
        "compensated": ["order-1"],
        "escalated": ["notify-1"],
        "failed": [],
        "committed": ["publish-1"],
        "erased": [],
    }
    (order,) = lanes["compensated"]["sagas"]
    assert [piece[:2] for piece in order["pieces"]] == [
        ["reserve", "undone"],
        ["charge", "failed"],
        ["undo-reserve", "compensated"],
    ]
    assert order["reason"] == "ConnectionError: the bank does not answer"
    (nightly,) = lanes["running"]["sagas"]
    assert (nightly["title"], nightly["ended"]) == ("nightly", None)


def test_saga_that_is_being_undone_says_so() -> None:
    events = [
        HypervisorEvent(event_type=kind, payload={"saga_id": "s", **payload})
        for kind, payload in (
            (EventType.SAGA_CREATED, {}),
            (EventType.SAGA_COMPENSATING, {"step_id": "a", "phase": "started"}),
        )
    ]
    (saga,) = Asked(events).ask("sagas")["lanes"][0]["sagas"]

    assert saga["undoing"] is True


def test_sagas_are_filtered_by_words() -> None:
    asked = played()

    def found(text: str) -> list[str]:
        lanes = asked.ask("sagas", filter=text)["lanes"]
        return [saga["id"] for lane in lanes for saga in lane["sagas"]]

    assert found("BANK") == ["order-1"]
    assert found("undo mail") == ["notify-1"]
    assert found("nothing like that") == []


def test_sagas_are_bounded_and_running_ones_stay() -> None:
    def saga(number: int, *kinds: EventType) -> list[HypervisorEvent]:
        return [
            HypervisorEvent(event_type=kind, payload={"saga_id": str(number)}) for kind in kinds
        ]

    asked = Asked(
        [
            *saga(0, EventType.SAGA_CREATED),
            *(
                event
                for number in range(1, sagas.MOST_SAGAS + 10)
                for event in saga(number, EventType.SAGA_CREATED, EventType.SAGA_COMPLETED)
            ),
        ]
    )
    told = asked.ask("sagas")
    lanes = {lane["lane"]: lane for lane in told["lanes"]}

    assert told["left_out"] == 10
    assert [one["id"] for one in lanes["running"]["sagas"]] == ["0"]
    assert lanes["committed"]["count"] == sagas.MOST_SAGAS - 1
    assert len(lanes["committed"]["sagas"]) == sagas.MOST_IN_LANE


def test_saga_that_begins_again_under_its_id_is_another_one() -> None:
    events = [
        HypervisorEvent(event_type=kind, payload={"saga_id": "s"})
        for kind in (EventType.SAGA_CREATED, EventType.SAGA_COMPLETED, EventType.SAGA_CREATED)
    ]

    assert [lane["count"] for lane in Asked(events).ask("sagas")["lanes"]] == [1, 0, 0, 0, 0, 0]


# Traces


def test_traces_tell_how_they_stand() -> None:
    watch, release = played().ask("traces")["traces"]

    assert (watch["kind"], watch["title"], watch["outcome"]) == ("run", "watch", "running")
    assert watch["running"] is True
    assert (release["title"], release["outcome"]) == ("release", "failed")
    assert (release["breaches"], release["refusals"], release["cost"]) == (1, 2, "0.004 EUR")
    assert [name for _, name in release["agents"]] == ["lead", "builder", "rogue"]
    assert len(release["id"]) == 32
    assert release["id"].endswith(release["short"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "running"}, ["watch"]),
        ({"state": "failed"}, ["release"]),
        ({"filter": "BUILDER"}, ["release"]),
        ({"filter": "watch running"}, ["watch"]),
        ({"filter": "nobody"}, []),
        ({"count": "1"}, ["watch"]),
        ({"count": "99999999999999999999"}, ["watch", "release"]),
    ],
)
def test_traces_are_chosen(query: dict[str, str], expected: list[str]) -> None:
    told = played().ask("traces", **query)

    assert [one["title"] for one in told["traces"]] == expected
    assert (told["all"], told["running"], told["failed"]) == (2, 1, 1)


@pytest.mark.parametrize("query", [{"state": "gone"}, {"count": "many"}, {"count": "-1"}])
def test_question_that_cannot_be_read_is_refused_in_words(query: dict[str, str]) -> None:
    with pytest.raises(Refused, match="expected") as caught:
        Asked().ask("traces", **query)

    assert caught.value.status is HTTPStatus.BAD_REQUEST


def test_traces_are_bounded() -> None:
    asked = Asked(
        [
            HypervisorEvent(
                event_type=EventType.RING_ASSIGNED, causal_trace_id=f"{number:012x}/0a1b2c3d"
            )
            for number in range(1, traces.MOST_TRACES + 8)
        ]
    )
    told = asked.ask("traces", count="5")

    assert (told["all"], told["left_out"], len(told["traces"])) == (traces.MOST_TRACES, 7, 5)


# Sessions


def test_session_is_told_whole() -> None:
    told = played().ask("session", id=scenario.SESSION)

    assert [name for _, name in told["agents"]] == ["lead", "builder", "rogue"]
    (handoff,) = [mark for mark in told["marks"] if mark[0] == "handoff"]
    assert (handoff[2], handoff[5]) == (0, 1)
    assert {work[2] for work in told["work"]} >= {"deploy", "fetch", "compile", "m-1"}
    assert told["whole"] is True
    assert told["ended"] == told["seen"]


def test_handoff_to_somebody_who_never_came_has_a_line_of_its_own() -> None:
    event = HypervisorEvent(
        event_type=EventType.of("agent.handoff"),
        session_id="s",
        agent_did="did:a",
        payload={"to_agent": "did:b"},
    )
    told = Asked([event]).ask("session", id="s")

    assert told["agents"] == [["did:a", ""], ["did:b", ""]]
    assert told["marks"][0][5] == 1


def test_story_of_a_session_goes_on_with_what_comes() -> None:
    asked = played()
    first = asked.ask("session", id=scenario.SESSION)
    write = HypervisorEvent(
        event_type=EventType.VFS_WRITE,
        session_id=scenario.SESSION,
        agent_did=scenario.LEAD,
        payload={"path": "late.txt"},
    )

    assert asked.ask("session", id=scenario.SESSION, known=first["version"]) is None
    asked.take([write])
    again = asked.ask("session", id=scenario.SESSION, known=first["version"])

    assert again["events"] == first["events"] + 1
    assert again["marks"][-1][4] == "late.txt"
    assert asked.told == 1


def test_story_begins_again_where_what_came_meanwhile_is_not_kept_any_more() -> None:
    asked = played()
    first = asked.ask("session", id=scenario.SESSION)
    asked.take([HypervisorEvent(event_type=EventType.VFS_WRITE, session_id=scenario.SESSION)])
    asked.oldest = len(asked.events)

    assert asked.ask("session", id=scenario.SESSION)["events"] == first["events"] + 1
    assert asked.told == 2


def test_session_of_which_nothing_is_known_is_not_found() -> None:
    with pytest.raises(Refused, match="nothing was recorded of this session") as caught:
        Asked().ask("session", id="s")

    assert caught.value.status is HTTPStatus.NOT_FOUND


def test_sessions_are_listed_the_one_seen_last_first() -> None:
    night, release = played().ask("session")["sessions"]

    assert (night["id"], night["ended"], night["agents"]) == ("night", None, 1)
    assert (release["id"], release["agents"]) == (scenario.SESSION, 3)
    assert release["ended"] is not None


def test_sessions_are_bounded() -> None:
    asked = Asked(
        [
            HypervisorEvent(event_type=EventType.SESSION_CREATED, session_id=str(number))
            for number in (0, *range(sessions.MOST_SESSIONS + 3))
        ]
    )
    told = asked.ask("session")

    assert (len(told["sessions"]), told["left_out"]) == (sessions.MOST_SESSIONS, 3)


def test_only_the_newest_stories_are_kept() -> None:
    asked = Asked(
        [
            HypervisorEvent(event_type=EventType.SESSION_CREATED, session_id=str(number))
            for number in range(20)
        ]
    )
    for number in [*range(20), 19, 0]:
        assert asked.ask("session", id=str(number))["events"] == 1

    assert asked.told == 21  # the first had to go


# What all of them share


@pytest.mark.parametrize("path", ["agents", "sagas", "traces", "session", "health"])
def test_what_has_not_changed_is_not_sent_again(path: str) -> None:
    asked = played()
    version = asked.ask(path)["version"]

    assert asked.ask(path, known=version) is None
    scenario_of_another = HypervisorEventBus()
    scenario.begin_to_watch(Recorder(scenario_of_another))
    asked.take(scenario_of_another.all_events)
    assert asked.ask(path, known=version)["version"] != version


def test_version_of_another_server_is_not_this_ones() -> None:
    first, second = Asked(), Asked()

    assert second.ask("agents", known=first.ask("agents")["version"]) is not None


def test_answers_are_made_once_for_all_viewers() -> None:
    asked = played()
    page = asked.answers.endpoints()["/api/agents"]

    assert page(Request()) is page(Request(query={"known": "of another server"}))
    for number in range(20):
        asked.ask("sagas", filter=str(number))
    assert page(Request()).status is HTTPStatus.OK


def test_health_is_asked_for_once_for_all_who_look() -> None:
    asked: list[Health] = []

    def health() -> Health:
        asked.append(Health())
        return asked[-1]

    boards = Asked()
    answers = Answers(
        boards=boards.boards,
        lock=threading.Lock(),
        session_events=boards,
        health=health,
        health_seconds=3_600,
    )
    for _ in range(3):
        answers.endpoints()["/api/health"](Request())

    assert len(asked) == 1


def test_hostile_names_are_bounded_texts() -> None:
    name = "<script>alert(1)</script>\u202e" + "x" * 10_000
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    with (
        recorder.session(name[:200]),
        recorder.agent(name, name=name),
        recorder.saga(name) as saga,
        saga.step(name),
        recorder.tool(name),
    ):
        recorder.handoff(name, reason=name)
    asked = Asked(list(bus.all_events))

    for path in ("agents", "sagas", "traces", "session"):
        body = json.dumps(asked.ask(path))
        assert len(body) < 20_000
    assert len(json.dumps(asked.ask("session", id=name[:200]))) < 60_000
