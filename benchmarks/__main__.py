"""Measure everything and print one table. Exit code 1: a goal does not hold; 2: no answer.

Usage: python -m benchmarks [--quick] [--json] [--only NAME]... [--list]
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.goals import Case
from benchmarks.machine import facts, in_words
from benchmarks.outcome import Outcome, outcomes
from benchmarks.plan import bus_cases
from benchmarks.plan_agents import agent_cases
from benchmarks.plan_journal import journal_cases
from benchmarks.plan_plugins import emitting_cases, export_cases, neighbour_cases
from benchmarks.rounds import ROOT, BenchmarkError, run
from benchmarks.table import as_json, as_markdown, as_text, replace_table

PAGE = ROOT / "docs" / "explanation" / "performance.md"


def all_cases(*, quick: bool) -> list[Case]:
    """All cases, in the order of the table."""
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
    parser = argparse.ArgumentParser(prog="make bench", description="Measure everything.")
    parser.add_argument("--quick", action="store_true", help="fewer events and rounds: a minute")
    parser.add_argument("--json", action="store_true", help="print JSON, times in seconds")
    parser.add_argument("--only", action="append", metavar="NAME", help="a case; repeatable")
    parser.add_argument("--list", action="store_true", help="print the cases' names")
    options = parser.parse_args()

    cases = all_cases(quick=options.quick)
    if options.list:
        print(*(case.name for case in cases), sep="\n")
        return 0
    if options.only:
        unknown = set(options.only) - {case.name for case in cases}
        if unknown:
            parser.error(f"no such case: {', '.join(sorted(unknown))} (see --list)")
        cases = [case for case in cases if case.name in options.only]
    try:
        results = measured(cases, quick=options.quick)
    except BenchmarkError as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 2

    known = facts()
    print(as_json(results, known) if options.json else as_text(results))
    # Only a run of everything, at its full length, is worth writing down.
    if not (options.quick or options.only):
        replace_table(Path(PAGE), as_markdown(results, in_words(known)))
    missed = [outcome for outcome in results if outcome.held is False]
    if missed:
        print(f"\n{len(missed)} goals do not hold", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
