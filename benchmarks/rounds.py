"""Run the two sides of a case in turn, round by round, each in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from attrs import frozen

from benchmarks.cases import Measures
from benchmarks.goals import Case, Environment, Side

ROOT = Path(__file__).parents[1]
_QUICK_ROUNDS = 3


class BenchmarkError(Exception):
    """A side failed, or both sides did not do the same work."""


@frozen
class Round:
    """What one round gave; *other* is empty where there is no other side."""

    ours: Measures
    other: Measures


def python_of(environment: Environment) -> str:
    """The interpreter of a virtual environment of ``make bench``."""
    return str(ROOT / ".cache" / environment.value / "bin" / "python")


def run(case: Case, *, quick: bool) -> list[Round]:
    """Measure *case*; the order of the sides changes from round to round.

    Raises:
        BenchmarkError: A side failed, or both sides' outputs differ.
    """
    rounds = case.rounds
    if quick:
        rounds = 1 if case.fresh else min(rounds, _QUICK_ROUNDS)
    with ExitStack() as stack:
        ports = {name: stack.enter_context(_sink(name)) for name in case.sinks}
        if case.fresh:
            return [_fresh_round(case, ports, number) for number in range(rounds)]
        sides = [stack.enter_context(_worker(side, ports)) for side in _sides(case)]
        results = [_round(sides, number) for number in range(rounds + 1)]
        return results[1:]  # the first one warmed up


def _sides(case: Case) -> list[Side]:
    return [case.ours] if case.other is None else [case.ours, case.other]


def _fresh_round(case: Case, ports: dict[str, int], number: int) -> Round:
    with ExitStack() as stack:
        sides = [stack.enter_context(_worker(side, ports)) for side in _sides(case)]
        return _round(sides, number)


def _round(sides: list["_Worker"], number: int) -> Round:
    order = sides if number % 2 == 0 else sides[::-1]
    measured = {id(side): side.measure() for side in order}
    ours, *others = (measured[id(side)] for side in sides)
    other = others[0] if others else {}
    if others and ours.get("check") != other.get("check"):
        raise BenchmarkError("the two sides did not give the same output")
    return Round(ours, other)


class _Worker:
    def __init__(self, process: subprocess.Popen[str], what: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input: IO[str] = process.stdin
        self._output: IO[str] = process.stdout
        self._what = what

    def answer(self) -> Measures:
        line = self._output.readline()
        if not line:
            raise BenchmarkError(f"{self._what} ended before it had measured")
        measures: Measures = json.loads(line)
        return measures

    def measure(self) -> Measures:
        self._input.write("\n")
        self._input.flush()
        return self.answer()


@contextmanager
def _worker(side: Side, ports: dict[str, int]) -> Iterator[_Worker]:
    options: dict[str, Any] = dict(side.options)
    if len(ports) == 1:
        options["port"] = next(iter(ports.values()))
    elif ports:
        options["ports"] = ports
    arguments = ["benchmarks.worker", side.case, json.dumps(options)]
    with _process(side.environment, arguments) as process:
        worker = _Worker(process, f"{side.case} in {side.environment.value}")
        worker.answer()
        yield worker


@contextmanager
def _sink(name: str) -> Iterator[int]:
    with _process(Environment.OURS, ["benchmarks.sink", name]) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


@contextmanager
def _process(environment: Environment, arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    # What the caller's own environment says of other modules must not get in between.
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    process = subprocess.Popen(
        [python_of(environment), "-m", *arguments],
        cwd=ROOT,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
    )
    try:
        yield process
    finally:
        # Daemon threads and servers of a side need no orderly end.
        process.kill()
        process.communicate()
