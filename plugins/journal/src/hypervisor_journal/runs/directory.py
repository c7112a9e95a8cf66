"""A journal's directory, as who reads it finds it: with runs, without any yet, or no journal."""

from pathlib import Path

from hypervisor_journal.runs.claims import CLAIMS_NAME
from hypervisor_journal.runs.run_ledger import LEDGER_NAME
from hypervisor_journal.runs.runs import runs_of
from hypervisor_observability.errors import NoHistoryError

# What stands beside the runs, apart from the ledger and the claims.
DELIVERED = "delivered"
"""Folder in which the plugins' lists of delivered runs are."""
AGENT = "agent"
"""Folder in which the agent's cursors are."""
AGENT_LOCK = "lock"
"""File in it, which the agent holds."""
INDEX = "index"
"""Folder in which the index is."""
SHIPPED = "shipped"
"""Folder that records how far each run was sent to a fleet."""

BESIDE_RUNS = frozenset({DELIVERED, AGENT, INDEX, SHIPPED, LEDGER_NAME, CLAIMS_NAME})
_FILE_SYSTEMS = frozenset({"lost+found"})


def holds_runs(directory: Path) -> bool:
    """Tell whether a process has journalled there.

    Raises:
        OSError: The directory cannot be read at present.
    """
    return any(True for _ in runs_of(directory))


def require_journal(directory: Path, *, may_be_empty: bool = False) -> None:
    """Refuse a directory that is no journal: whatever else it holds, one without a run is none.

    Args:
        directory: Of the journal.
        may_be_empty: Whether the runs may be gone, or still to come.

    Raises:
        NoHistoryError: It is none.
        OSError: The directory cannot be read at present.
    """
    if not directory.is_dir() or not (may_be_empty or holds_runs(directory)):
        raise NoHistoryError(
            f"there is no journal in {directory}: the first program that records there makes it"
        )


def refuse_foreign(directory: Path) -> None:
    """Refuse a directory without a run that holds something else.

    Hidden names, and what a file system keeps for itself, do not count.

    Raises:
        NoHistoryError: It does.
        OSError: The directory cannot be read at present.
    """
    if not directory.is_dir() or holds_runs(directory):
        return
    names = {path.name for path in directory.iterdir() if not path.name.startswith(".")}
    foreign = names - BESIDE_RUNS - _FILE_SYSTEMS
    if foreign:
        raise NoHistoryError(f"there is no journal in {directory}, but {min(foreign)!r}")
