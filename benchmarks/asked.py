"""The command line of a benchmark, and how it ends."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from benchmarks.machine import in_words
from benchmarks.outcome import Outcome
from benchmarks.rounds import ROOT
from benchmarks.table import as_json, as_markdown, as_text, replace_table

PAGE = ROOT / "docs" / "explanation" / "performance.md"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


CaseT = TypeVar("CaseT", bound=_Named)


def asked(
    command: str, description: str, shorter: str, all_cases: Callable[..., Sequence[CaseT]]
) -> tuple[argparse.Namespace, list[CaseT]]:
    """Read the command line; give its options, and the cases that it names.

    Ends the process if it is only to list the cases, or if a named case does not exist.

    Args:
        command: What people type.
        description: What it does.
        shorter: What ``--quick`` does.
        all_cases: Gives the cases; ``quick`` says whether those of ``--quick``.
    """
    parser = argparse.ArgumentParser(prog=command, description=description)
    parser.add_argument("--quick", action="store_true", help=shorter)
    parser.add_argument("--json", action="store_true", help="print JSON, times in seconds")
    parser.add_argument("--only", action="append", metavar="NAME", help="a case; repeatable")
    parser.add_argument("--list", action="store_true", help="print the cases' names")
    options = parser.parse_args()
    # As Ctrl-C: every block ends what it started, such as a server or a browser.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cases = all_cases(quick=options.quick)
    if options.list:
        print(*(case.name for case in cases), sep="\n")
        parser.exit()
    if unknown := set(options.only or ()) - {case.name for case in cases}:
        parser.error(f"no such case: {', '.join(sorted(unknown))} (see --list)")
    return options, [case for case in cases if not options.only or case.name in options.only]


def conclude(
    results: list[Outcome], known: dict[str, str], options: argparse.Namespace, table: str
) -> int:
    """Print the results and update the page; give the exit code.

    Args:
        results: What was measured.
        known: Facts about the machine.
        options: As ``asked`` gave them.
        table: Which table of the page it is, by the target of the Makefile.
    """
    print(as_json(results, known) if options.json else as_text(results))
    # Only a run of everything, at its full length, is worth writing down.
    if not (options.quick or options.only):
        replace_table(PAGE, as_markdown(results, in_words(known)), table)
    missed = [outcome for outcome in results if outcome.held is False]
    if missed:
        print(f"\n{len(missed)} goals do not hold", file=sys.stderr)
    return 1 if missed else 0
