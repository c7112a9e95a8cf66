"""``python -m tests.faults``: try what must hold; print, keep and publish the figures.

Each case runs in a process and a session of its own. Whatever it starts ends with it, also when
SIGTERM or Ctrl-C ends this program. Exit code 1 if a goal does not hold.
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from attrs import asdict

from tests.faults.cases import CASES
from tests.faults.figure import Figure

KEPT = Path(__file__).parent / "figures.json"
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "reliability.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_CASE_SECONDS = 3_600.0
_END_SECONDS = 60.0


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="make test-faults")
    parser.add_argument("--quick", action="store_true", help="shorter forms; writes nothing")
    parser.add_argument("--only", action="append", choices=CASES, help="this case; again for more")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    if arguments.case:
        figures = CASES[arguments.case](quick=arguments.quick)
        sys.stdout.write(json.dumps([asdict(figure) for figure in figures]))
        return 0
    found: dict[str, list[Figure]] = {}
    for name in arguments.only or CASES:
        begun = time.monotonic()
        found[name] = _run(name, quick=arguments.quick)
        sys.stderr.write(f"{name}: {time.monotonic() - begun:.0f} s\n")
    sys.stdout.write(_table(found))
    if not arguments.quick:
        _keep(found)
    return int(not all(figure.holds for figures in found.values() for figure in figures))


def _keep(found: dict[str, list[Figure]]) -> None:
    """Write the figures of these cases into the page, and leave those of the others."""
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    kept |= {name: [asdict(figure) for figure in figures] for name, figures in found.items()}
    kept = {name: kept[name] for name in CASES if name in kept}
    KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
    table = _table(
        {name: [Figure(**values) for values in figures] for name, figures in kept.items()}
    )
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n{END}{after}", "utf-8")


def _run(name: str, *, quick: bool) -> list[Figure]:
    command = [
        sys.executable,
        "-m",
        "tests.faults",
        "--case",
        name,
        *(["--quick"] if quick else []),
    ]
    return [Figure(**values) for values in json.loads(_output_of(command))]


def _output_of(command: list[str]) -> str:
    """Run *command*, and end everything in its session with it."""
    case = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        output, _ = case.communicate(timeout=_CASE_SECONDS)
    finally:
        if case.poll() is None:
            case.terminate()  # it removes its files
            with contextlib.suppress(subprocess.TimeoutExpired):
                case.wait(_END_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(case.pid, signal.SIGKILL)
    if case.returncode:
        raise subprocess.CalledProcessError(case.returncode, command)
    return output


def _exit(number: int, _frame: object) -> NoReturn:
    """Leave every block, so that each ends what it started."""
    sys.exit(128 + number)


def _table(found: dict[str, list[Figure]]) -> str:
    rows = ["| fault | measured | figure | goal | holds |", "|---|---|--:|--:|---|"]
    for figure in itertools.chain.from_iterable(found.values()):
        verdict = "" if not figure.goal else "yes" if figure.holds else "**NO**"
        rows.append(
            f"| {figure.fault} | {figure.what} | {figure.value} | {figure.goal} | {verdict} |"
        )
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
