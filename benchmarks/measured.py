"""Cases that have something in common, such as a browser, and are measured one after the other."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from attrs import frozen

from benchmarks.goals import Row
from benchmarks.outcome import Outcome, outcome_of
from benchmarks.rounds import ROOT

MeansT = TypeVar("MeansT")
Figures = Mapping[str, float]


@frozen(kw_only=True)
class Case(Generic[MeansT]):
    """What is measured, and the rows that come of it.

    Attributes:
        name: For ``--only``.
        group: Heading of its rows.
        measure: Gives the figures of each round, in an empty folder.
        rows: What is shown; each names its figure as *measure*, and the other side's, if there is
            one, with ``other_`` before.
        other_name: What the other side is, if there is one.
    """

    name: str
    group: str
    measure: Callable[[MeansT, Path], Iterator[Figures]]
    rows: tuple[Row, ...]
    other_name: str = ""

    def outcomes(self, figures: Sequence[Figures]) -> list[Outcome]:
        """Give the rows with their figures."""
        return [
            outcome_of(
                row,
                [one[row.measure] for one in figures if row.measure in one],
                [one[other] for one in figures if (other := f"other_{row.measure}") in one],
                group=self.group,
                other_name=self.other_name,
            )
            for row in self.rows
        ]


def measured(cases: Sequence[Case[MeansT]], means: MeansT) -> list[Outcome]:
    """Run *cases* one after the other, and say on standard error which one it is."""
    results = []
    for case in cases:
        start = time.monotonic()
        # Beside the environments: /tmp may be memory.
        with tempfile.TemporaryDirectory(dir=ROOT / ".cache", prefix="bench-") as folder:
            results += case.outcomes(list(case.measure(means, Path(folder))))
        sys.stderr.write(f"{case.name}: {time.monotonic() - start:.0f} s\n")
    return results
