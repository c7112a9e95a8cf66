"""What is tried, by name: each case gives figures, with the goal that each should hold."""

from collections.abc import Callable, Iterable

from faults.backends import BACKENDS
from faults.delivery import DELIVERY
from faults.figure import Figure
from faults.journal import JOURNAL
from faults.journal_reading import JOURNAL_READING
from faults.many_runs import MANY_RUNS
from faults.oracle import ORACLE
from faults.patience import PATIENCE
from faults.sampling import sampling
from faults.steps import STEPS

CASES: dict[str, Callable[..., Iterable[Figure]]] = {
    **DELIVERY,
    **PATIENCE,
    **BACKENDS,
    **JOURNAL,
    **STEPS,
    **JOURNAL_READING,
    **MANY_RUNS,
    **ORACLE,
    "sampling": sampling,
}
"""In the order in which they run."""
