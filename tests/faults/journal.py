"""What is tried of the journal: kills, failing calls, power cuts, damage, a backend away."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import Config, EventType, Observability
from tests.faults.disk import after_power_cut, with_flipped_bit
from tests.faults.figure import Figure, within_a_minute, zeros
from tests.faults.measuring import p99_of_emit, temporary_directory
from tests.faults.plugins import Away, Busy, Taking
from tests.faults.writing import SEGMENT_BYTES, found_in, numbered_event, query_fails, start, told

_SEED = 20261126


def kills(*, quick: bool) -> Iterable[Figure]:
    """Kill a writing process at a random moment."""
    rounds = 25 if quick else 1_000
    dice = random.Random(_SEED)
    moments = [dice.uniform(0, 0.3) for _ in range(rounds)]
    with temporary_directory() as directory, ThreadPoolExecutor(2) as pool:
        paths = [directory / str(number) for number in range(rounds)]
        results = list(pool.map(_kill, paths, moments))
    accepted = sum(result[0] for result in results)
    lost, invented, bad, failed = (sum(column) for column in list(zip(*results, strict=True))[1:])
    yield Figure(
        fault="J1",
        what=f"events accepted in {rounds:,} processes, each killed at a random moment",
        value=f"{accepted:,}",
    )
    yield zeros(
        "J1",
        "of them lost; events that nobody was told of, beyond the one being appended; "
        "runs that do not verify",
        lost,
        invented,
        bad,
    )
    yield zeros(
        "J1, J23",
        f"queries after each of {rounds:,} kills at random moments, that exit with 1",
        failed,
    )


def _kill(directory: Path, moment: float) -> tuple[int, int, int, int, int]:
    process = start(directory, 100_000)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(moment)
    os.killpg(process.pid, signal.SIGKILL)
    accepted, _ = told(first + process.communicate(timeout=60)[0])
    found = found_in(directory)
    bad = sum(verify(run).verdict is Verdict.BAD for run in runs_of(directory))
    failed = query_fails(directory)
    shutil.rmtree(directory)
    lost = len(set(accepted) - set(found)) + (found != list(range(len(found))))
    return len(accepted), lost, max(0, len(found) - len(accepted) - 1), bad, failed


def power(*, quick: bool) -> Iterable[Figure]:
    """Cut the power in a model: of what was not synced, any part may be lost, names too."""
    states = 500 if quick else 20_000
    dice = random.Random(_SEED)
    lost = invented = 0
    with temporary_directory() as directory:
        for number in range(states // 100):
            base = directory / str(number)
            written, synced, last, total = _write_and_sync(base, dice)
            for _ in range(100):
                found = _state_of(base, written, synced, dice)
                lost += len(set(range(last)) - set(found))
                invented += found != sorted(set(found) & set(range(total)))
            shutil.rmtree(base)
    yield zeros(
        "J6",
        f"of {states:,} states after a power cut: synced events lost; states with an event "
        "that was not written, or twice, or out of order",
        lost,
        invented,
    )


def _write_and_sync(
    directory: Path, dice: random.Random
) -> tuple[dict[Path, bytes], dict[Path, bytes | None], int, int]:
    """Write a run, syncing once.

    Returns:
        What stands in each segment; what the disk holds of it for certain, None where not even
        its name; how many events were synced, and written.
    """
    writer = JournalWriter(directory, segment_bytes=SEGMENT_BYTES)
    total = dice.randrange(50, 900)
    last = dice.randrange(total)
    synced: dict[Path, bytes | None] = {}
    for number in range(total):
        writer.append(numbered_event(number), lambda _: None)
        if number + 1 == last:
            writer.sync()
            run = next(runs_of(directory))
            synced = {path: path.read_bytes() for _, path in run.segments()}
    (run,) = runs_of(directory)
    written = {path: path.read_bytes() for _, path in run.segments()}
    writer.begin_anew_after_fork()  # lets go without a word, as a power cut does
    return written, {path: synced.get(path) for path in written}, last, total


def _state_of(
    directory: Path,
    written: dict[Path, bytes],
    synced: dict[Path, bytes | None],
    dice: random.Random,
) -> list[int]:
    for path, data in written.items():
        held = synced[path]
        if held is None and dice.random() < 0.3:
            path.unlink(missing_ok=True)  # its name was not on the disk
            continue
        before = (held or b"").ljust(len(data), b"\0")
        path.write_bytes(after_power_cut(before, data, dice))
    return found_in(directory)


def flips(*, quick: bool) -> Iterable[Figure]:
    """Turn one bit of a journal."""
    rounds = 1_000 if quick else 20_000
    dice = random.Random(_SEED)
    altered = unseen = 0
    with temporary_directory() as directory:
        writer = JournalWriter(directory, segment_bytes=SEGMENT_BYTES)
        for number in range(600):
            writer.append(numbered_event(number), lambda _: None)
        writer.close()
        (run,) = runs_of(directory)
        whole = {path: path.read_bytes() for _, path in run.segments()}
        good = {record.sequence: record for record in RunReader(run).records(0)}
        for _ in range(rounds):
            path = dice.choice(list(whole))
            path.write_bytes(with_flipped_bit(whole[path], dice))
            altered += sum(record != good[record.sequence] for record in RunReader(run).records(0))
            unseen += verify(run).verdict is not Verdict.BAD
            path.write_bytes(whole[path])
    yield zeros(
        "J9",
        f"{rounds:,} flipped bits: altered records given as good; flips that `verify` does not see",
        altered,
        unseen,
    )


def outage(*, quick: bool) -> Iterable[Figure]:
    """Have a backend away for ten minutes at 500 events a second, with a journal."""
    seconds = 20 if quick else 600
    plugin = Away()
    with temporary_directory() as directory:
        config = Config(plugins={"journal": {"directory": directory}})
        with Observability(config, plugins=[plugin]) as observability:
            emitted: list[str] = []
            begun = time.monotonic()
            while time.monotonic() - begun < seconds:
                emitted += [
                    observability.bus.record(EventType.VFS_WRITE, payload={"n": n}).event_id
                    for n in range(25)
                ]
                time.sleep(max(0.0, begun + len(emitted) / 500 - time.monotonic()))
            plugin.back = True
            returned = time.monotonic()
            drained = observability.flush(120)
            took = time.monotonic() - returned
            counts = observability.counts()["away"]
    got = set(plugin.taken)
    missing, twice = len(set(emitted) - got), len(plugin.taken) - len(got)
    yield Figure(
        fault="O1",
        what=f"with a journal, {len(emitted):,} events emitted in {seconds} s while a backend was "
        "away: missing; delivered twice; counted as dropped",
        value=f"{missing}; {twice}; {counts.dropped_total}",
        goal="0; ≤ 512; 0",
        holds=missing == counts.dropped_total == 0 and twice <= 512,
    )
    yield within_a_minute("O1", "drained after its return", took, holds=drained)


def stalls(*, quick: bool) -> Iterable[Figure]:
    """Time ``emit`` with a journal, beside idle plugins and beside one that never pauses."""
    rounds = 5 if quick else 15
    kinds: dict[str, Callable[[], object]] = {
        "four plugins that take": Taking,
        "one of four that computes without pause": Busy,
    }
    for name, first in kinds.items():
        times = []
        for _ in range(rounds):
            plugins: list[object] = [first(), *(Taking(f"t{number}") for number in range(3))]
            times.append(_p99_of_emit(plugins))
        p99 = median(times)
        yield Figure(
            fault="J7",
            what=f"p99 of `emit` with a journal and {name}",
            value=f"{p99 * 1e6:.1f} µs",
            goal="≤ 100 [200] µs",
            holds=p99 <= 200e-6,
        )


def _p99_of_emit(plugins: list[object]) -> float:
    with temporary_directory() as directory:
        config = Config(plugins={"journal": {"directory": directory}}, stop_timeout_seconds=30)
        with Observability(config, plugins=plugins) as observability:
            seconds = p99_of_emit(observability, pause_every=5)
            for plugin in plugins:
                if isinstance(plugin, Busy):
                    plugin.rests = True  # or nothing stops in time, and the directory is in use
    return seconds
