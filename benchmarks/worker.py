"""One side of a case, in a process of its own: prepares, then measures once for each line read.

Usage: python -m benchmarks.worker CASE OPTIONS, with OPTIONS a JSON object. CASE is a module
of ``benchmarks.cases``; its function ``prepare`` takes the options and gives a function that
measures one round.
"""

import gc
import importlib
import json
import sys

from benchmarks.cases import Prepare


def main() -> None:
    case, options = sys.argv[1], json.loads(sys.argv[2])
    prepare: Prepare = importlib.import_module(f"benchmarks.cases.{case}").prepare
    measure = prepare(**options)
    _answer({})
    for _ in sys.stdin:
        # What earlier rounds left behind is not this round's to collect.
        gc.collect()
        _answer(measure())


def _answer(measures: dict[str, float | str]) -> None:
    sys.stdout.write(json.dumps(measures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
