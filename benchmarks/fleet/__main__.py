"""Measure a fleet over a real server and print a table. Exit code 1: a goal does not hold.

Usage: python -m benchmarks.fleet [--quick] [--json] [--only NAME]... [--list]
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from benchmarks.asked import asked, conclude
from benchmarks.fleet.agents import deliver
from benchmarks.fleet.place import Place, write_journal
from benchmarks.goals import Goal, Row, Unit
from benchmarks.machine import machine_facts
from benchmarks.measured import Case, Figures, measured
from benchmarks.rounds import ROOT, BenchmarkError
from tests.plugins.nats.servers import one_server, server_program

UNANCHORED = 3
"""The code with which ``hvobs nats verify`` ends where nothing is wrong, and nothing anchored."""
_EVENTS, _FEWER = 1_000_000, 50_000


def all_cases(*, quick: bool) -> list[Case[Place]]:
    """All cases, in the order of the table."""
    rounds = 1 if quick else 3
    return [
        _shipping(rounds),
        _one_run(rounds),
        _delivering(rounds),
        *(one.case(rounds) for one in _QUESTIONS),
    ]


def _shipping(rounds: int) -> Case[Place]:
    def measure(place: Place, _: Path) -> Iterator[Figures]:
        for _round in range(rounds):
            took = place.ship(place.journal, place.new_stream())
            yield {
                "event": took.seconds / place.events,
                "cpu": took.cpu_seconds / place.events,
            }

    return Case(
        name="ship",
        group="hvobs ship, each message on the server's disk before it is acknowledged",
        measure=measure,
        rows=(
            Row(
                title="events of 64 runs",
                measure="event",
                unit=Unit.PER_SECOND,
                goal=Goal(limit=1 / 30_000),
            ),
            Row(title="CPU for each", measure="cpu", goal=Goal(below=15e-6)),
        ),
    )


def _one_run(rounds: int) -> Case[Place]:
    def measure(place: Place, folder: Path) -> Iterator[Figures]:
        events = place.events // 10
        write_journal(folder / "journal", events, 1)
        for _round in range(rounds):
            yield {"event": place.ship(folder / "journal", place.new_stream()).seconds / events}

    return Case(
        name="ship-one",
        group="hvobs ship, each message on the server's disk before it is acknowledged",
        measure=measure,
        rows=(Row(title="events of one run", measure="event", unit=Unit.PER_SECOND),),
    )


def _delivering(rounds: int) -> Case[Place]:
    def measure(place: Place, _: Path) -> Iterator[Figures]:
        for _round in range(rounds):
            (one,) = deliver(place, 1)
            two = deliver(place, 2)
            yield {
                "event": one.seconds / one.events,
                "cpu": one.cpu_seconds / one.events,
                "both": 1 / sum(each.events / each.cpu_seconds for each in two if each.events),
                "other_both": one.cpu_seconds / one.events,
            }

    return Case(
        name="agent",
        group="hvobs agent --from nats, with Prometheus and a plugin that takes events",
        other_name="one replica",
        measure=measure,
        rows=(
            Row(
                title="events of one replica",
                measure="event",
                unit=Unit.PER_SECOND,
                goal=Goal(limit=1 / 20_000),
            ),
            Row(title="CPU for each", measure="cpu"),
            Row(
                title="events of two replicas, a second of the CPU of each",
                measure="both",
                unit=Unit.PER_SECOND,
                goal=Goal(times=1.7),
            ),
        ),
    )


@frozen
class Question:
    """A command over the stream.

    Attributes:
        name: For ``--only``.
        title: Of its row.
        arguments: Of ``hvobs``.
        goal: In seconds; None: for scale.
        code: With which it ends.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    goal: float | None = None
    code: int = 0

    def case(self, rounds: int) -> Case[Place]:
        """Give what measures it."""

        def measure(place: Place, _: Path) -> Iterator[Figures]:
            for _round in range(rounds):
                took = place.run(place.config, *self.arguments, code=self.code)
                yield {"seconds": took.seconds}

        goal = None if self.goal is None else Goal(below=self.goal)
        return Case(
            name=self.name,
            group="Questions to a stream, the start of the process included",
            measure=measure,
            rows=(Row(title=self.title, unit=Unit.SECONDS, goal=goal),),
        )


_QUESTIONS = (
    Question("newest", "`hvobs query --limit 20`", ("query", "--limit", "20"), goal=2.0),
    Question(
        "session", "one session of 1,000: `hvobs query --session`", ("query", "--session", "s7")
    ),
    Question(
        "verify", "the chains of all runs: `hvobs nats verify`", ("nats", "verify"), code=UNANCHORED
    ),
)


def main() -> int:
    """Do what the command line says; give the exit code."""
    options, cases = asked(
        "make bench-fleet", "Measure a fleet.", f"{_FEWER:,} events, a round", all_cases
    )
    (ROOT / ".cache").mkdir(exist_ok=True)
    try:
        known = {**machine_facts(), "nats-server": _version()}
        # Beside the environments: /tmp may be memory.
        with (
            tempfile.TemporaryDirectory(dir=ROOT / ".cache", prefix="bench-fleet-") as name,
            one_server(Path(name) / "server") as server,
        ):
            results = measured(
                cases, Place(Path(name), server, _FEWER if options.quick else _EVENTS)
            )
    except BenchmarkError as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 2
    return conclude(results, known, options, "bench-fleet")


def _version() -> str:
    told = subprocess.run(
        [server_program(), "--version"], check=True, capture_output=True, text=True
    )
    return told.stdout.strip().rpartition("v")[2]


if __name__ == "__main__":
    sys.exit(main())
