"""Import the package: CPU of an interpreter that does, less that of one that does not."""

import resource
import subprocess
import sys

from benchmarks.cases import Measure, Measures

_NAMES = "CausalTraceId, EventType, HypervisorEvent, HypervisorEventBus"


def prepare(*, package: str) -> Measure:
    """Measure ``seconds``."""
    code = f"from {package} import {_NAMES}"
    _seconds(code)  # the first one writes the bytecode

    def measure() -> Measures:
        return {"seconds": _seconds(code) - _seconds("pass")}

    return measure


def _seconds(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(3):
        subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 3
