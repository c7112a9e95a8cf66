"""The sessions, and one of them whole: agents by time, handoffs, files, decisions."""

from collections import OrderedDict
from typing import Any

from attrs import define, field

from hypervisor_observability.report.session import Mark, SessionStory, Stretch, ended_after
from hypervisor_observability.stores import Entry, trace_key
from hypervisor_web.boards.plain import MOST_CHARACTERS, microseconds

MOST_SESSIONS = 1_000
"""Most sessions that are kept: those seen last."""
_MOST_AGENTS = 200


@define(eq=False)
class SessionRow:
    """A session.

    Attributes:
        begun_ns: The time of its first event, in nanoseconds since the epoch.
        seen_ns: The time of the last.
        ended_ns: When it ended; None: it has not.
        events: How many events were about it.
        agents: Its agents' DIDs, a bounded number.
    """

    begun_ns: int
    seen_ns: int = 0
    ended_ns: int | None = None
    events: int = 0
    agents: set[str] = field(factory=set)


@define(eq=False)
class SessionsBoard:
    """The sessions.

    Attributes:
        rows: By their ids, the one seen last at the end.
        left_out: How many had to go for newer ones.
        version: Grows with each event that changes anything.
    """

    rows: OrderedDict[str, SessionRow] = field(factory=OrderedDict)
    left_out: int = 0
    version: int = 0

    def take(self, entry: Entry, position: int) -> None:  # noqa: ARG002 - as all boards
        """Look at an event."""
        event = entry.event
        if (session := event.session_id) is None or len(session) > MOST_CHARACTERS:
            return
        self.version += 1
        row = self.rows.get(session)
        if row is None:
            row = self.rows[session] = SessionRow(event.timestamp_ns)
            if len(self.rows) > MOST_SESSIONS:
                self.rows.popitem(last=False)
                self.left_out += 1
        else:
            self.rows.move_to_end(session)
        row.events += 1
        # Clocks step, and those of processes differ.
        row.begun_ns = min(row.begun_ns, event.timestamp_ns)
        row.seen_ns = max(row.seen_ns, event.timestamp_ns)
        row.ended_ns = ended_after(event, row.ended_ns)
        if event.agent_did is not None and len(row.agents) < _MOST_AGENTS:
            row.agents.add(event.agent_did)

    def version_of(self, session: str) -> int:
        """Give what grows with each event of a session; 0: none has come."""
        row = self.rows.get(session)
        return 0 if row is None else row.events

    def told(self) -> dict[str, Any]:
        """Tell of all of them in plain data, the one seen last first."""
        return {
            "sessions": [
                {
                    "id": session,
                    "begun": microseconds(row.begun_ns),
                    "seen": microseconds(row.seen_ns),
                    "ended": microseconds(row.ended_ns),
                    "events": row.events,
                    "agents": len(row.agents),
                }
                for session, row in reversed(self.rows.items())
            ],
            "left_out": self.left_out,
        }


def story_told(session: str, story: SessionStory) -> dict[str, Any]:
    """Tell of one session in plain data. Agents are numbers in what it tells: their places in
    ``agents``, -1 for nobody's.
    """
    places = {did: place for place, did in enumerate(story.agents)}
    agents = [[did, name] for did, name in story.agents.items()]

    def place_of(name: str) -> int:
        did = story.names.did_of(name)
        if did and did not in places:
            places[did] = len(agents)
            agents.append([did, ""])
        return places[did] if did else -1

    marks = [_mark(one, place_of(one.agent), place_of(one.taker)) for one in story.marks]
    return {
        "id": session,
        "begun": microseconds(story.begun_ns),
        "seen": microseconds(story.last_ns),
        "ended": microseconds(story.ended_ns),
        "events": story.events,
        "agents": agents,
        "work": [_stretch(one, places[one.agent]) for one in story.stretches],
        "marks": marks,
        "agents_left_out": story.agents_left_out,
        "work_left_out": story.stretches_left_out,
        "marks_left_out": story.marks_left_out,
    }


def _stretch(one: Stretch, agent: int) -> list[Any]:
    begun, ended = microseconds(one.begun_ns), microseconds(one.ended_ns)
    return [agent, one.kind, one.title, begun, ended, one.word, _trace(one.trace)]


def _mark(one: Mark, agent: int, taker: int) -> list[Any]:
    at, trouble = microseconds(one.at_ns), int(one.is_trouble)
    return [one.kind, at, agent, one.word, one.text, taker, trouble, _trace(one.trace)]


def _trace(trace: str | None) -> str | None:
    return None if trace is None else trace_key(trace)
