"""``hvobs journal verify``: is the journal what was written?"""

import contextlib
import sys
from pathlib import Path

import click

from hypervisor_journal.commands.asked_journal import AskedJournal, about_a_journal, runs_called
from hypervisor_journal.commands.verdicts import (
    anchors_by_run,
    end_with,
    proof_options,
    tell,
    tell_most,
)
from hypervisor_journal.proof.verification import Verification, verify
from hypervisor_observability import output


@click.command(
    name="verify",
    short_help="Prove that a journal is what was written.",
    epilog=output.examples("hvobs journal verify", "hvobs journal verify --journal journal --json"),
)
@about_a_journal
@proof_options
@click.option("--run", "run_name", metavar="NAME", help="Only this run.")
def verify_command(
    asked: AskedJournal,
    anchor_file: Path | None,
    key: str | None,
    run_name: str | None,
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Prove that each run of a journal is what was written: whole, in order, unchanged.

    Exit code 0: proven by anchors up to its end. 3: nothing is wrong, but no anchor says that
    the end was not cut off, or all of it rewritten; or there is no run. 1: a record is wrong,
    and the first one is named; or a file cannot be read. A run whose process was killed while
    writing a record is said to be torn at its end: that event was never accepted, and nothing is
    wrong.
    """
    journal = asked.place(may_be_empty=True)
    damages: list[str] = []
    anchors = anchors_by_run(anchor_file or asked.anchor_file(), key, damages)
    runs = runs_called(journal, run_name)
    found: list[tuple[str, Verification]] = []
    with click.progressbar(
        runs, label="verifying", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as progress:
        for run in progress:
            with contextlib.suppress(FileNotFoundError):  # removed by the bounds of the journal
                found.append((run.path.name, verify(run, anchors.get(run.id.hex(), ()))))
    gone = set() if run_name is not None else anchors.keys() - {run.id.hex() for run in runs}
    tell(found, as_json=as_json)
    tell_most(
        (
            f"run {one} is gone: removed by the bounds of the journal, or by hand"
            for one in sorted(gone)
        ),
        "runs",
    )
    end_with(found, damages, gone=bool(gone), place=journal)
