"""A journal's directory, as who reads it finds it: with runs, without any yet, or no journal."""

from pathlib import Path

from hypervisor_journal.runs.runs import runs_of
from hypervisor_observability.errors import NoHistoryError


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
        raise NoHistoryError(f"there is no journal in {directory}")
