"""The drill of a fleet: writers, shippers, agents and servers are killed while they work."""

import random
import re
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tests.faults.figure import Figure, zeros
from tests.faults.fleet.drill import Drill
from tests.faults.fleet.notes import (
    ENDED,
    KILLED,
    Incident,
    Truth,
    repeats,
    takeovers,
)
from tests.faults.fleet.processes import BATCH_EVENTS, Fleet, running
from tests.faults.fleet.stream import held
from tests.faults.measuring import temporary_directory
from tests.plugins.nats.notes import Note, noted, notes_in
from tests.plugins.nats.servers import make_stream

_SEED = 20261128
_MARKS = "N1 to N5"
_PARTITIONS = 8
_REST_SECONDS = 300.0
_LOOK_SECONDS = 0.5
_COUNTED = re.compile(
    r"^agent_hypervisor_ring_breaches_by_agent_total\{.*\} ([0-9.e+]+)$", re.MULTILINE
)


def fleet(*, quick: bool) -> Iterable[Figure]:
    """Run the drill."""
    count, rate, pause = (20_000, 250, 0.5) if quick else (1_000_000, 2_500, 5.0)
    with (
        temporary_directory() as folder,
        running(folder, writers=8, agents=3, count=count, rate=rate) as made,
    ):
        make_stream(made.config, partitions=_PARTITIONS, num_replicas=len(made.servers))
        for process in made.processes:
            process.start()
        drill = Drill(made, random.Random(_SEED))
        drill.cause_faults(pause)
        drill.restart_agents()
        ended = time.monotonic()
        _end_writing(made)
        truth = Truth.of(made.journals)
        _await_delivery(made, truth)
        rest_seconds = time.monotonic() - ended
        totals = sum(map(_total, made.ports))
        for agent in made.agents:
            agent.end()
        yield from _account(made, drill, truth, rest_seconds, totals)


def _end_writing(made: Fleet) -> None:
    """End the writers and shippers; ship what they left."""
    for writer in made.writers:
        writer.await_end(_REST_SECONDS)
    for shipper in made.shippers:
        shipper.end()
    for journal in made.journals:
        rest = made.shipping_rest(journal)
        made.shippers.append(rest)
        rest.start()
        rest.await_end(_REST_SECONDS)


def _await_delivery(made: Fleet, truth: Truth) -> None:
    deadline = time.monotonic() + _REST_SECONDS
    while time.monotonic() < deadline:
        notes = notes_in(made.notes)
        if truth.events <= noted(notes, "events") and truth.spans <= noted(notes, "spans"):
            return
        time.sleep(_LOOK_SECONDS)


def _total(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return round(sum(map(float, _COUNTED.findall(answer.read().decode()))))


def _account(
    made: Fleet, drill: Drill, truth: Truth, rest_seconds: float, totals: int
) -> Iterator[Figure]:
    notes = notes_in(made.notes)
    events, spans = noted(notes, "events"), noted(notes, "spans")
    in_stream = held(made.config, truth.sequences)
    failures = [failure for process in made.processes for failure in process.failures]
    sys.stderr.writelines(f"{failure}\n" for failure in failures)
    caused = ", ".join(f"{name}: {count}" for name, count in sorted(drill.faults.items()))
    yield Figure(
        fault=_MARKS,
        what=f"events of 8 writers on two hosts, a cluster of three servers, three agents, under "
        f"{sum(drill.faults.values())} faults ({caused})",
        value=f"{len(truth.events):,}",
    )
    yield zeros(
        _MARKS,
        "of them not delivered; of their spans; delivered that nobody recorded; processes that "
        "ended badly",
        len(truth.events - events),
        len(truth.spans - spans),
        len(events - truth.events) + len(spans - truth.spans),
        len(failures),
    )
    yield zeros(
        _MARKS,
        f"of {in_stream.messages:,} messages in the stream: numbers of a run that are missing; "
        "that stand there twice; runs without an end",
        in_stream.missing,
        in_stream.twice,
        in_stream.unended,
    )
    yield Figure(
        fault=_MARKS,
        what="the agents' totals together, against what was recorded",
        value=f"{totals:,}",
        goal=f"{len(truth.events):,}",
        holds=totals == len(truth.events),
    )
    yield Figure(
        fault=_MARKS,
        what="agents that could not begin while the servers chose a leader, and were started again",
        value=f"{drill.restarts}",
    )
    yield from _repeated(repeats(notes, drill.incidents))
    yield from _taken_over(drill.incidents, notes)
    yield Figure(
        fault=_MARKS,
        what="from the last event until all were delivered",
        value=f"{rest_seconds:.0f} s",
        goal=f"≤ {_REST_SECONDS:.0f} s",
        holds=rest_seconds <= _REST_SECONDS,
    )


def _repeated(counted: Counter[tuple[Incident | None, str]]) -> Iterator[Figure]:
    by_nothing = sum(count for (incident, _), count in counted.items() if incident is None)
    worst = max((count for (incident, _), count in counted.items() if incident), default=0)
    yield Figure(
        fault=_MARKS,
        what=f"most that one kill or pause of an agent had delivered twice (a batch has at most "
        f"{BATCH_EVENTS}); delivered twice without one",
        value=f"{worst}; {by_nothing}",
        goal=f"≤ {BATCH_EVENTS}; 0",
        holds=worst <= BATCH_EVENTS and not by_nothing,
    )


def _taken_over(incidents: Sequence[Incident], notes: Sequence[Note]) -> Iterator[Figure]:
    """Give the times of takeovers; only those after kills have a goal."""
    for what, chosen, goal in (
        ("agents killed", lambda one: one.kind == KILLED and one.alone, 3.0),
        ("agents killed with a shipper or a server", lambda one: not one.alone, None),
        ("agents ended", lambda one: one.kind == ENDED, None),
    ):
        some = [incident for incident in incidents if chosen(incident)]
        times = []
        for incident in some:
            took = takeovers(incident, notes)
            told = f"{max(took):.1f} s" if took else "it had nothing"
            sys.stderr.write(f"agent {incident.pid} {incident.kind}, taken over: {told}\n")
            times += took
        if times:
            yield Figure(
                fault=_MARKS,
                what=f"{len(some)} {what}: until another delivers events of the same run, the most",
                value=f"{max(times):.1f} s",
                goal="" if goal is None else f"< {goal:g} s",
                holds=goal is None or max(times) < goal,
            )
