"""Kill a writing process at each of its first system calls, or let the call fail."""

import re
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attrs import frozen

from tests.faults.figure import Figure, zeros
from tests.faults.measuring import temporary_directory
from tests.faults.writing import found_in, start, told

_EVENTS = 800
_EVERY = 8
"""Upkeep looks after so many events, in the only thread: each run makes the same calls."""

_KILL = "SIGKILL"
_ERRORS = ("ENOSPC", "EIO", "EFBIG", "EINTR")
_CALL = re.compile(r"\d+ +(\w+)\(")


@frozen
class Call:
    """A system call.

    Attributes:
        name: Its name.
        number: How many of this name came before, and one.
    """

    name: str
    number: int


@frozen
class _Result:
    what: str
    reached: bool
    wrong: int


def calls(*, quick: bool) -> Iterable[Figure]:
    """Try each of the first calls that touch the journal."""
    strace = shutil.which("strace")
    if strace is None:
        raise SystemExit("strace is not on this machine. On Debian: apt-get install strace.")
    with temporary_directory() as directory, ThreadPoolExecutor(2) as pool:
        first = _first_calls(strace, directory / "all", 10 if quick else 200)
        tried = [(call, what) for call in first for what in (_KILL, *_ERRORS)]
        results = list(pool.map(lambda case: _inject(strace, directory, *case), tried))
    names = ", ".join(name for name, _ in Counter(call.name for call in first).most_common())
    yield from _figures(
        "J2",
        f"SIGKILL at each of the first {len(first)} system calls that touch the journal ({names})",
        [result for result in results if result.what == _KILL],
    )
    yield from _figures(
        "J3",
        f"each of them fails with {', '.join(_ERRORS)}",
        [result for result in results if result.what != _KILL],
    )


def _figures(fault: str, what: str, results: list[_Result]) -> Iterable[Figure]:
    reached = sum(result.reached for result in results)
    wrong = sum(result.wrong for result in results)
    yield Figure(
        fault=fault,
        what=f"{what}: cases in which it came so far",
        value=f"{reached:,} of {len(results):,}",
        goal="nine of ten",
        holds=reached >= 0.9 * len(results),
    )
    yield zeros(fault, "events that were accepted and are not found, or not told of as lost", wrong)


def _first_calls(strace: str, target: Path, most: int) -> list[Call]:
    """Give the first calls that name the journal's directory, or a file in it.

    A fault is asked for by a call's number. There is one thread, so it comes again.
    """
    log = target.with_suffix(".log")
    process = start(target, _EVENTS, strace, "-f", "-y", "-qq", "-o", str(log), every=_EVERY)
    process.communicate(timeout=300)
    before: Counter[str] = Counter()
    found: list[Call] = []
    for line in log.read_text("utf-8", "replace").splitlines():
        begin = _CALL.match(line)
        if begin is None:
            continue  # a signal
        name = begin[1]
        before[name] += 1
        if f"{target}" in line and name != "execve":
            found.append(Call(name, before[name]))
    shutil.rmtree(target)
    log.unlink()
    return found[:most]


def _inject(strace: str, directory: Path, call: Call, what: str) -> _Result:
    target = directory / f"{call.name}-{call.number}-{what}"
    log = target.with_suffix(".log")
    action = f"signal={what}" if what == _KILL else f"error={what}"
    # Not with --seccomp-bpf, which strace 6.1 does not count calls with.
    process = start(
        target,
        _EVENTS,
        *(strace, "-f", "-qq", "-o", str(log), "-e", f"trace={call.name}"),
        *("-e", f"inject={call.name}:{action}:when={call.number}"),
        every=_EVERY,
    )
    output, complaint = process.communicate(timeout=300)
    accepted, lost = told(output)
    found = found_in(target) if target.is_dir() else []
    text = log.read_text("utf-8", "replace")
    wrong = len(set(accepted) - set(found)) + (found != sorted(set(found)))
    if what != _KILL:
        # It went on to the end, so each event was told of, as one or the other.
        wrong += abs(_EVENTS - len(accepted) - len(lost)) + len(set(found) & set(lost))
    if wrong:
        print(f"{call} {what}: {wrong:,} wrong. {complaint.decode()}", file=sys.stderr)
    log.unlink()
    shutil.rmtree(target, ignore_errors=True)
    # strace ends as what it traces did.
    reached = process.returncode == -signal.SIGKILL if what == _KILL else "(INJECTED)" in text
    return _Result(what, reached, wrong)
