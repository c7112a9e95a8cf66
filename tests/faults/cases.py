"""What is tried, by name: each case gives figures, with the goal that each should hold."""

from collections.abc import Callable, Iterable

from tests.faults.backends import limits, names, nodes
from tests.faults.figure import Figure
from tests.faults.fleet.case import fleet
from tests.faults.hangs import exits, hung, recovers, stopped
from tests.faults.journal import flips, kills, outage, power, stalls
from tests.faults.journal_reading import erasures, looks, torn
from tests.faults.many_runs import repeats, runs
from tests.faults.oracle import oracle
from tests.faults.overload import away, overload
from tests.faults.processes import endings, forks
from tests.faults.refusals import pauses, poison, raising, sizes
from tests.faults.sampling import sampling
from tests.faults.steps import steps
from tests.faults.system_calls import calls

_IN_ORDER: tuple[Callable[..., Iterable[Figure]], ...] = (
    *(raising, hung, overload, away, poison, exits, forks),
    *(sizes, pauses, stopped, recovers, endings),
    *(nodes, names, limits),
    *(kills, calls, power, flips, outage, stalls),
    steps,
    *(torn, looks, erasures),
    *(runs, repeats),
    oracle,
    fleet,
    sampling,
)
CASES = {case.__name__: case for case in _IN_ORDER}
"""In the order in which they run."""
