"""What the agents noted, compared with what the journals hold."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import define, field, frozen

from hypervisor_journal.format.encoding import event_of
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.runs import runs_of
from tests.faults.fleet.writer import NUMBERED
from tests.plugins.nats.notes import Note

_SPAN_END = "agent.finished"
KILLED, PAUSED, ENDED = "killed", "paused", "ended"


@define(eq=False)
class Truth:
    """What the journals of all hosts hold.

    Attributes:
        events: Ids of the numbered events.
        spans: Ids of the events that end spans.
        sequences: The numbers of each run's events, by its name.
    """

    events: set[str] = field(factory=set)
    spans: set[str] = field(factory=set)
    sequences: dict[str, set[int]] = field(factory=dict)

    @classmethod
    def of(cls, journals: Iterable[Path]) -> "Truth":
        """Read the journals."""
        truth = cls()
        for run in (run for journal in journals for run in runs_of(journal)):
            sequences = truth.sequences[run.path.name] = set()
            for record in RunReader(run).records(0):
                event = event_of(record)
                sequences.add(record.sequence)
                if event.event_type is NUMBERED:
                    truth.events.add(event.event_id)
                elif event.event_type == _SPAN_END:
                    truth.spans.add(event.event_id)
        return truth


@frozen
class Incident:
    """What was done to an agent.

    Attributes:
        kind: ``KILLED``, ``PAUSED``, or ``ENDED`` as a service manager ends it.
        pid: Its process.
        begun: When, on the machine's monotonic clock.
        over: When it continued; the same as *begun* if it did not.
        alone: Whether no other fault was going on.
    """

    kind: str
    pid: int
    begun: float
    over: float
    alone: bool = True

    def distance(self, note: Note) -> float:
        """Give the seconds between the incident and a note."""
        return min(abs(note.moment - self.begun), abs(note.moment - self.over))


def takeovers(incident: Incident, notes: Sequence[Note], within: float = 3.0) -> list[float]:
    """Give the seconds until another agent delivered events of each run that the agent read.

    They count from the incident, or from the agent's last delivery: one that is ended goes on
    delivering for a while.

    :param within: An agent reads a run if it delivered events of it in so many seconds before.
    """
    last: dict[str, float] = {}
    for note in notes:
        if note.kind == "events" and note.pid == incident.pid:
            for run in note.runs:
                if incident.kind == ENDED or note.moment <= incident.begun:
                    last[run] = note.moment
    found: dict[str, float] = {}
    for note in notes:
        if note.kind == "events" and note.pid != incident.pid and note.moment > incident.begun:
            for run in note.runs & last.keys():
                if note.moment > last[run]:
                    found.setdefault(run, note.moment - max(incident.begun, last[run]))
    return [
        found[run] for run, at in last.items() if at >= incident.begun - within and run in found
    ]


def repeats(
    notes: Iterable[Note], incidents: Iterable[Incident]
) -> Counter[tuple[Incident | None, str]]:
    """Count what was handed over more than once, by kind and by the nearest incident of an agent
    that had it; None where there was no incident.
    """
    had: defaultdict[tuple[str, str], list[Note]] = defaultdict(list)
    for note in notes:
        for id_ in note.ids:
            had[note.kind, id_].append(note)
    done_to: defaultdict[int, list[Incident]] = defaultdict(list)
    for incident in incidents:
        done_to[incident.pid].append(incident)
    counted: Counter[tuple[Incident | None, str]] = Counter()
    for (kind, _), all_ in had.items():
        if len(all_) > 1:
            causes = [
                (incident.distance(note), incident)
                for note in all_
                for incident in done_to[note.pid]
                if incident.kind != ENDED
            ]
            _, nearest = min(causes, key=lambda cause: cause[0], default=(0.0, None))
            counted[nearest, kind] += len(all_) - 1
    return counted
