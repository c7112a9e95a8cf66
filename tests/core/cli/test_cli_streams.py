"""``hvobs`` as a process: pipes, terminals, interrupts, encodings."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from hypervisor_observability import CausalTraceId, EventType, HypervisorEvent

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")

HVOBS = [sys.executable, "-c", "from hypervisor_observability.cli.main import main; main()"]

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start ``hvobs`` in an empty folder; stdout and stderr are pipes unless told otherwise."""

    def begin(
        arguments: Sequence[str],
        *,
        stdout: int = subprocess.PIPE,
        variables: Mapping[str, str] | None = None,
    ) -> "subprocess.Popen[bytes]":
        others = ("HYPERVISOR_", "LC_", "PYTHONUNBUFFERED")
        ours = {k: v for k, v in os.environ.items() if not k.startswith(others)}
        return subprocess.Popen(
            [*HVOBS, *arguments],
            cwd=tmp_path,
            env={**ours, **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )

    return begin


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A file of so many traces that no pipe holds their trees."""
    file = tmp_path / "events.jsonl"
    with file.open("w", encoding="utf-8") as lines:
        for _ in range(2_000):
            event = HypervisorEvent(
                event_type=EventType.SESSION_JOINED,
                agent_did="did:mesh:ada",
                causal_trace_id=CausalTraceId().full_id,
            )
            lines.write(json.dumps(event.to_dict()) + "\n")
    return file


@pytest.mark.fault("L2")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_reader_that_has_enough_ends_the_command_quietly(
    start: Start, events: Path, options: list[str]
) -> None:
    with start(["tree", str(events), *options]) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()

        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == b""


@pytest.mark.fault("L2")
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["doctor"], ["tree", "--help"]])
def test_pipe_that_nobody_reads_is_no_failure(start: Start, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with start(arguments, stdout=writer) as process:
            _, told = process.communicate(timeout=60)
    finally:
        os.close(writer)

    assert (process.returncode, told) == (0, b"")


@pytest.mark.fault("L2")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["doctor", "--json"]])
def test_full_disk_is_a_failure_in_one_line(start: Start, arguments: list[str]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with start(arguments, stdout=full) as process:
            _, told = process.communicate(timeout=60)
    finally:
        os.close(full)

    assert process.returncode == 1
    assert b"No space left on device" in told
    assert b"Traceback" not in told
    assert b"Exception ignored" not in told


# A command of somebody else's that leaves the writing to the end of the process.
PRINTING = """
import sys
import types
import click
from hypervisor_observability.cli import main
module = types.SimpleNamespace(command=click.Command("p", callback=lambda: print("printed")))
sys.modules["a_module_of_this_test"] = module
main.COMMANDS["p"] = ("a_module_of_this_test:command", "")
main.main(["p"])
"""


@pytest.mark.fault("L2")
def test_late_writing_to_a_pipe_that_nobody_reads_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = print_to(writer)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.fault("L2")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_late_writing_to_a_full_disk_is_a_failure_in_one_line() -> None:
    done = print_to(os.open("/dev/full", os.O_WRONLY))

    assert done.returncode == 1
    assert done.stderr == b"Error: [Errno 28] No space left on device\n"


def print_to(descriptor: int) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(
            [sys.executable, "-c", PRINTING],
            check=False,
            env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
            stdout=descriptor,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    finally:
        os.close(descriptor)


@pytest.mark.fault("L2")
def test_interrupt_ends_with_130_and_without_a_traceback(start: Start, events: Path) -> None:
    with start(["tree", "-"]) as process:
        assert process.stdin is not None
        # More than a pipe holds: once it is written, somebody reads it.
        process.stdin.write(events.read_bytes())
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=60)

    assert process.returncode == 130
    assert (out, told.strip()) == (b"", b"")


@pytest.mark.fault("L2")
@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "LANG": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
)
def test_tree_is_drawn_in_any_encoding(
    start: Start, tmp_path: Path, variables: dict[str, str]
) -> None:
    root = CausalTraceId()
    lines = [
        json.dumps(
            HypervisorEvent(
                event_type=EventType.SESSION_JOINED,
                agent_did="did:mesh:Zoë",
                causal_trace_id=trace.full_id,
            ).to_dict(),
            ensure_ascii=False,
        )
        for trace in (root, root.child())
    ]
    (tmp_path / "two.jsonl").write_text("\n".join(lines), encoding="utf-8")

    with start(["tree", "two.jsonl"], variables=variables) as process:
        out, told = process.communicate(timeout=60)

    assert (process.returncode, told) == (0, b"")
    assert out.count(b"agent did:mesh:Zo") == 2


def test_colour_is_for_a_terminal_alone(start: Start, tmp_path: Path) -> None:
    trace = CausalTraceId()
    event = HypervisorEvent(
        event_type=EventType.of("saga.step_failed"),
        causal_trace_id=trace.full_id,
        payload={"saga_id": "s", "step_id": "t"},
    )
    (tmp_path / "one.jsonl").write_text(json.dumps(event.to_dict()))

    assert b"\x1b[31m" in on_a_terminal(start, {"TERM": "xterm", "NO_COLOR": ""})
    assert b"\x1b" not in on_a_terminal(start, {"TERM": "xterm", "NO_COLOR": "1"})
    with start(["tree", "one.jsonl"]) as process:
        assert b"\x1b" not in process.communicate(timeout=60)[0]


def on_a_terminal(start: Start, variables: Mapping[str, str]) -> bytes:
    """Give what ``hvobs tree one.jsonl`` writes to a terminal."""
    ours, theirs = os.openpty()
    with start(["tree", "one.jsonl"], stdout=theirs, variables=variables) as process:
        os.close(theirs)
        written = b""
        try:
            while chunk := os.read(ours, 65_536):
                written += chunk
        except OSError:
            pass  # how Linux says that the other end was closed
        _, told = process.communicate(timeout=60)
    os.close(ours)
    assert (process.returncode, told) == (0, b"")
    return written
