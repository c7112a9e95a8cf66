"""``hvobs journal verify``: is the journal what was written?"""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from attrs import asdict

from hypervisor_journal.commands.asked_journal import AskedJournal, about_a_journal, runs_called
from hypervisor_journal.proof.anchors import Anchor, forged_among, read_anchors
from hypervisor_journal.proof.verification import Verdict, Verification, verify
from hypervisor_journal.runs.runs import Run
from hypervisor_observability import output

_UNANCHORED = 3
_MOST_GONE = 20


@click.command(
    name="verify",
    short_help="Prove that a journal is what was written.",
    epilog=output.examples("hvobs journal verify", "hvobs journal verify --journal journal --json"),
)
@about_a_journal
@click.option(
    "--anchors",
    "anchor_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Anchors; else anchor_file of the configuration.",
)
@click.option("--key", metavar="HEX", help="What 'hvobs journal key' printed: checks the anchors.")
@click.option("--run", "run_name", metavar="NAME", help="Only this run.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def verify_command(
    asked: AskedJournal,
    anchor_file: Path | None,
    key: str | None,
    run_name: str | None,
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Prove that each run of a journal is what was written: whole, in order, unchanged.

    Exit code 0: proven by anchors up to its end. 3: nothing is wrong, but no anchor says that
    the end was not cut off, or all of it written anew; or there is no run. 1: a record is wrong,
    and the first one is named; or a file cannot be read. A run whose process was killed while
    writing a record is said to be torn at its end: that event was never accepted, and nothing is
    wrong.
    """
    journal = asked.place(may_be_empty=True)
    damages: list[str] = []
    anchors = _anchors(anchor_file or asked.anchor_file(), damages)
    _check(anchors, key)
    by_run: dict[str, list[Anchor]] = {}
    for anchor in anchors:
        by_run.setdefault(anchor.run, []).append(anchor)
    runs = runs_called(journal, run_name)
    found: list[tuple[Run, Verification]] = []
    with click.progressbar(
        runs, label="verifying", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as progress:
        for run in progress:
            with contextlib.suppress(FileNotFoundError):  # removed by the bounds of the journal
                found.append((run, verify(run, by_run.get(run.id.hex(), ()))))
    gone = by_run.keys() - {run.id.hex() for run in runs}
    _tell(found, as_json=as_json)
    if run_name is None:
        for one in sorted(gone)[:_MOST_GONE]:
            output.note(f"run {one} is gone: removed by the bounds of the journal, or by somebody")
        if len(gone) > _MOST_GONE:
            output.note(f"and {len(gone) - _MOST_GONE} runs more")
    for damage in damages[:_MOST_GONE]:
        output.note(damage)
    verdicts = {verification.verdict for _, verification in found}
    if damages or not verdicts.isdisjoint((Verdict.BAD, Verdict.UNREADABLE)):
        raise click.exceptions.Exit(1)
    if not verdicts and not gone:
        output.note(f"there is no run in {journal}: nothing is proven")
        raise click.exceptions.Exit(_UNANCHORED)
    if Verdict.UNANCHORED in verdicts or (gone and run_name is None):
        raise click.exceptions.Exit(_UNANCHORED)


def _anchors(anchor_file: Path | None, damages: list[str]) -> list[Anchor]:
    if anchor_file is None:
        return []
    try:
        found = list(read_anchors(anchor_file, damages.append))
        if damages and not found:
            raise ValueError(damages[0])  # another file altogether
        return found
    except FileNotFoundError:
        output.note(f"there are no anchors in {anchor_file} yet")
        return []
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _check(anchors: Sequence[Anchor], key: str | None) -> None:
    if key is None:
        return
    try:
        first_key = bytes.fromhex(key)
    except ValueError:
        raise click.UsageError("--key: expected hexadecimal digits") from None
    forged = forged_among(anchors, first_key)
    if forged:
        bad = set(forged)
        first = next(anchor for anchor in anchors if anchor in bad)
        raise click.ClickException(
            f"{len(forged)} of {len(anchors)} anchors were not made with this key,"
            f" the first of run {first.run} at {first.sequence}"
        )


def _tell(found: Sequence[tuple[Run, Verification]], *, as_json: bool) -> None:
    if as_json:
        output.tell_json([_as_dict(run, verification) for run, verification in found])
        return
    rows = [("RUN", "VERDICT", "EVENTS", "ANCHORED", "ERASED", "LOST", "")]
    for run, one in found:
        reason = one.reason
        if one.bad_sequence is not None:
            reason = f"sequence {one.bad_sequence}: {reason}"
        if one.torn:
            reason += f"{'; ' if reason else ''}torn at the end: its process was killed"
        numbers = (str(number) for number in (one.events, one.anchored, one.erased, one.lost))
        rows.append((run.path.name, one.verdict.value, *numbers, reason))  # type: ignore[arg-type]  # four numbers
    output.tell(output.table(rows))


def _as_dict(run: Run, verification: Verification) -> dict[str, Any]:
    found = asdict(verification)
    return {"run": run.path.name, **found, "verdict": verification.verdict.value}
