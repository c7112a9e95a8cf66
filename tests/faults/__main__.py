"""``python -m tests.faults``: try what must hold; print, keep and publish the figures.

Each case runs in a process of its own. Exit code 1 if a goal does not hold.
"""

import argparse
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

from attrs import asdict

from tests.faults.cases import CASES
from tests.faults.figure import Figure

KEPT = Path(__file__).parent / "figures.json"
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "reliability.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="make test-faults")
    parser.add_argument("--quick", action="store_true", help="shorter forms; writes nothing")
    parser.add_argument("--only", action="append", choices=CASES, help="this case; again for more")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
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
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=3_600)
    return [Figure(**values) for values in json.loads(done.stdout)]


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
