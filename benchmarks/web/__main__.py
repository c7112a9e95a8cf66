"""Measure the page in a real Chromium and print a table. Exit code 1: a goal does not hold.

Usage: python -m benchmarks.web [--quick] [--json] [--only NAME]... [--list]
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from playwright.sync_api import Browser

from benchmarks.asked import asked, conclude
from benchmarks.goals import Goal, Row, Unit
from benchmarks.machine import machine_facts
from benchmarks.measured import Case, Figures, measured
from benchmarks.rounds import ROOT, BenchmarkError
from benchmarks.web import chromium
from benchmarks.web.live import opening, steady, unfinished
from benchmarks.web.tracing import tracing

_MS, _MIB = Unit.MILLISECONDS, Unit.MIB


def _below(milliseconds: float) -> Goal:
    return Goal(below=milliseconds / 1_000)


def all_cases(*, quick: bool) -> list[Case[Browser]]:
    """All cases, in the order of the table."""
    rounds = 2 if quick else 5
    minutes = 0.25 if quick else 10
    return [
        _opening(100_000, rounds),
        _tracing(20_000, rounds, drawn=_below(100), scroll=_below(5)),
        _tracing(80_000, rounds, drawn=None, scroll=None),
        _steady(1_000, minutes),
        _flood(10_000, seconds=10 if quick else 60),
        _unfinished(20 if quick else 100),
        _emitting(15 if quick else 121),
    ]


def _opening(events: int, rounds: int) -> Case[Browser]:
    return Case(
        name="open",
        group=f"LIVE over {events:,} events",
        measure=lambda browser, folder: islice(opening(browser, folder, events=events), rounds),
        rows=(
            Row(title="first paint", measure="painted", unit=_MS, goal=_below(500)),
            Row(title="the newest rows", measure="rows", unit=_MS, goal=_below(800)),
            Row(title="95 % of jumps to anywhere", measure="jump", unit=_MS, goal=_below(200)),
        ),
    )


def _tracing(pieces: int, rounds: int, *, drawn: Goal | None, scroll: Goal | None) -> Case[Browser]:
    return Case(
        name=f"trace-{pieces}",
        group=f"A trace of {pieces:,} spans",
        measure=lambda browser, folder: islice(tracing(browser, folder, pieces=pieces), rounds),
        rows=(
            Row(title="drawn, from the answer on", measure="drawn", unit=_MS, goal=drawn),
            Row(title="drawn, from the address on, the first time", measure="first", unit=_MS),
            Row(title="drawn, from the address on, again", measure="opened", unit=_MS),
            Row(title="work of the page for a scroll", measure="scroll", unit=_MS, goal=scroll),
            Row(title="the longest frame", measure="frame", unit=_MS, goal=_below(200)),
        ),
    )


def _steady(rate: int, minutes: float) -> Case[Browser]:
    def measure(browser: Browser, folder: Path) -> Iterator[Figures]:
        yield steady(browser, folder, rate=rate, seconds=int(minutes * 60))

    return Case(
        name="steady",
        group=f"{rate:,} events a second for {minutes:g} minutes",
        measure=measure,
        rows=(
            Row(
                title="events that a viewer misses",
                measure="missing",
                unit=Unit.EVENTS,
                goal=Goal(limit=0),
            ),
            Row(
                title="99 % of the events on the screen within",
                measure="late",
                unit=_MS,
                goal=_below(100),
            ),
            Row(title="half of them within", measure="usual", unit=_MS),
            Row(title="the longest frame", measure="frame", unit=_MS),
            Row(
                title="heap of the page at the end",
                measure="heap",
                unit=_MIB,
                goal=Goal(below=50e6),
            ),
            Row(
                title="CPU of the server, of a core",
                measure="cores",
                unit=Unit.PERCENT,
                goal=Goal(below=0.1),
            ),
            Row(
                title="resident memory of the server at most",
                measure="memory",
                unit=_MIB,
                goal=Goal(below=100e6),
            ),
        ),
    )


def _flood(rate: int, seconds: int) -> Case[Browser]:
    def measure(browser: Browser, folder: Path) -> Iterator[Figures]:
        yield steady(browser, folder, rate=rate, seconds=seconds)

    return Case(
        name="flood",
        group=f"{rate:,} events a second for {seconds} s",
        measure=measure,
        rows=(
            Row(title="events left out of a viewer's stream", measure="missing", unit=Unit.EVENTS),
            Row(
                title="of these, told of nowhere",
                measure="untold",
                unit=Unit.EVENTS,
                goal=Goal(limit=0),
            ),
            Row(title="heap of the page at the end", measure="heap", unit=_MIB),
            Row(title="CPU of the server, of a core", measure="cores", unit=Unit.PERCENT),
        ),
    )


def _unfinished(calls: int) -> Case[Browser]:
    def measure(browser: Browser, folder: Path) -> Iterator[Figures]:
        yield unfinished(browser, folder, calls=calls)

    return Case(
        name="unfinished",
        group="Work that has begun",
        measure=measure,
        rows=(
            Row(
                title="95 % of unfinished tool calls on the screen within",
                measure="shown",
                unit=_MS,
                goal=_below(300),
            ),
        ),
    )


def _emitting(pairs: int) -> Case[Browser]:
    def measure(_: Browser, __: Path) -> Iterator[Figures]:
        command = [sys.executable, "-m", "benchmarks.web.emitting", str(pairs)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise BenchmarkError("emitting beside the page failed")
        yield from json.loads(done.stdout)

    return Case(
        name="emit",
        group="For the thread that emits",
        other_name="a plugin that does nothing",
        measure=measure,
        rows=(
            Row(
                title="create + emit, beside the page with 32 viewers",
                measure="cpu",
                goal=Goal(cost=1.01),
            ),
            Row(title="99 % of single ones within, on the clock", measure="wall"),
        ),
    )


def main() -> int:
    """Do what the command line says; give the exit code."""
    options, cases = asked("make bench-web", "Measure the page.", "shorter: two minutes", all_cases)
    (ROOT / ".cache").mkdir(exist_ok=True)
    try:
        with chromium.browser() as browser:
            known = {**machine_facts(), "Chromium": browser.version}
            results = measured(cases, browser)
    except BenchmarkError as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 2
    return conclude(results, known, options, "bench-web")


if __name__ == "__main__":
    sys.exit(main())
