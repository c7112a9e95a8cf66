"""What is tried, by name: each case gives figures, with the goal that each should hold."""

from collections.abc import Callable, Iterable

from tests.faults.backends import BACKENDS
from tests.faults.delivery import DELIVERY
from tests.faults.figure import Figure
from tests.faults.journal import JOURNAL
from tests.faults.journal_reading import JOURNAL_READING
from tests.faults.many_runs import MANY_RUNS
from tests.faults.oracle import ORACLE
from tests.faults.patience import PATIENCE
from tests.faults.sampling import sampling
from tests.faults.steps import STEPS

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
