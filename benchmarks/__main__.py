"""Measure everything and print one table. Exit code 1: a goal does not hold; 2: no answer.

Usage: python -m benchmarks [--quick] [--json] [--only NAME]... [--list]
"""

import sys
import time

from benchmarks.asked import asked, conclude
from benchmarks.goals import Case
from benchmarks.machine import facts
from benchmarks.outcome import Outcome, outcomes
from benchmarks.plan import bus_cases
from benchmarks.plan_agents import agent_cases
from benchmarks.plan_journal import journal_cases
from benchmarks.plan_plugins import emitting_cases, export_cases, neighbour_cases
from benchmarks.rounds import BenchmarkError, run


def all_cases(*, quick: bool) -> list[Case]:
    """Give all cases, in the order of the table."""
    cases = [
        *bus_cases(quick=quick),
        *emitting_cases(quick=quick),
        *export_cases(quick=quick),
        *journal_cases(quick=quick),
        *neighbour_cases(quick=quick),
        *agent_cases(quick=quick),
    ]
    return [case for case in cases if not (quick and case.full_only)]


def measured(cases: list[Case], *, quick: bool) -> list[Outcome]:
    """Run *cases* one after the other, and say on standard error which one it is."""
    results = []
    for case in cases:
        start = time.monotonic()
        results += outcomes(case, run(case, quick=quick))
        sys.stderr.write(f"{case.name}: {time.monotonic() - start:.0f} s\n")
    return results


def main() -> int:
    """Do what the command line says; give the exit code."""
    options, cases = asked(
        "make bench", "Measure everything.", "fewer events and rounds: a minute", all_cases
    )
    try:
        results = measured(cases, quick=options.quick)
    except BenchmarkError as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 2

    return conclude(results, facts(), options, "bench")


if __name__ == "__main__":
    sys.exit(main())
