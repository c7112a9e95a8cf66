"""The options and the output that all commands that prove runs share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from attrs import asdict

from hypervisor_journal.proof.anchors import Anchor, forged_among, read_anchors
from hypervisor_journal.proof.verification import Verdict, Verification
from hypervisor_observability import output

_UNANCHORED = 3
_MOST_TOLD = 20
_FAILED = frozenset({Verdict.BAD, Verdict.UNREADABLE})

Command = Callable[..., Any]


def proof_options(command: Command) -> Command:
    """Give *command* the options ``--anchors``, ``--key`` and ``--json``."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Write JSON."),
        click.option(
            "--key", metavar="HEX", help="What 'hvobs journal key' printed: checks the anchors."
        ),
        click.option(
            "--anchors",
            "anchor_file",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            help="Anchors; else anchor_file of the configuration.",
        ),
    ):
        command = option(command)
    return command


def anchors_by_run(
    anchor_file: Path | None, key: str | None, damages: list[str]
) -> Mapping[str, Sequence[Anchor]]:
    """Read anchors, by the ids of their runs.

    Args:
        anchor_file: Where they are; None: there are none.
        key: Of the first one, in hexadecimal digits; None: they are not checked.
        damages: Gets a line for each that cannot be read.

    Raises:
        ClickException: The file has no anchors, or one was not made with the key.
        UsageError: The key is not hexadecimal.
    """
    anchors = _anchors(anchor_file, damages)
    _check(anchors, key)
    by_run: dict[str, list[Anchor]] = {}
    for anchor in anchors:
        by_run.setdefault(anchor.run, []).append(anchor)
    return by_run


def _anchors(anchor_file: Path | None, damages: list[str]) -> list[Anchor]:
    if anchor_file is None:
        return []
    try:
        found = list(read_anchors(anchor_file, damages.append))
        if damages and not found:
            raise ValueError(damages[0])  # not a file of anchors
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


def tell(found: Sequence[tuple[str, Verification]], *, as_json: bool) -> None:
    """Write what was found of each run."""
    if as_json:
        output.tell_json([_as_dict(run, verification) for run, verification in found])
        return
    missing = any(one.missing for _, one in found)  # only a stream lacks numbers
    rows = [("RUN", "VERDICT", "EVENTS", "ANCHORED", "ERASED", "LOST", *["MISSING"] * missing, "")]
    for run, one in found:
        reason = one.reason
        if one.bad_sequence is not None:
            reason = f"sequence {one.bad_sequence}: {reason}"
        if one.torn:
            reason += f"{'; ' if reason else ''}torn at the end: its process was killed"
        numbers = [one.events, one.anchored, one.erased, one.lost, *[one.missing] * missing]
        rows.append((run, one.verdict.value, *map(str, numbers), reason))
    output.tell(output.table(rows))


def tell_most(lines: Iterable[str], more: str) -> None:
    """Write the first lines to stderr, then how many more there are; *more* names them."""
    told = list(lines)
    for line in told[:_MOST_TOLD]:
        output.note(line)
    if len(told) > _MOST_TOLD:
        output.note(f"and {len(told) - _MOST_TOLD} more {more}")


def end_with(
    found: Iterable[tuple[str, Verification]], damages: Sequence[str], *, gone: bool, place: object
) -> None:
    """End with the exit code that says what was found.

    Args:
        found: What was found of each run.
        damages: The lines of anchors that could not be read.
        gone: Whether a run that has anchors is missing.
        place: Where the runs were looked for.

    Raises:
        Exit: With 1 if something is wrong; with 3 if nothing is, but not everything is proven.
    """
    tell_most(damages, "lines")
    verdicts = {verification.verdict for _, verification in found}
    if damages or not verdicts.isdisjoint(_FAILED):
        raise click.exceptions.Exit(1)
    if not verdicts and not gone:
        output.note(f"there is no run in {place}: nothing is proven")
    if verdicts != {Verdict.PROVEN} or gone:
        raise click.exceptions.Exit(_UNANCHORED)


def _as_dict(run: str, verification: Verification) -> dict[str, Any]:
    found = asdict(verification)
    return {"run": run, **found, "verdict": verification.verdict.value}
