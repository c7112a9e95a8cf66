"""What some agents do, written by the real recorder: one of each thing that the page shows."""

import contextlib
from pathlib import Path
from typing import Any

from hypervisor_observability import Config, Observability, Recorder
from hypervisor_observability.config import StateConfig

SESSION = "release-42"
LEAD, BUILDER, ROGUE, WATCHER = (
    f"did:mesh:{name}" for name in ("lead", "builder", "rogue", "watcher")
)
WATCH = "watch"
"""Key of the run that goes on when all else has ended; below it ``AGENT``, ``POLL``, ``SAGA`` and
``STEP``."""
AGENT, POLL, SAGA, STEP = "agent", "poll", "saga", "step"


def play(recorder: Recorder) -> None:
    """Play all of it."""
    with recorder.session(SESSION, max_participants=4), recorder.run("release", kind="crew"):
        _lead(recorder)
        _builder(recorder)
        _rogue(recorder)
    begin_to_watch(recorder)


def record(directory: Path, *, state: Path | None = None) -> None:
    """Play it in a process that has a journal, and ends.

    Args:
        directory: Of the journal.
        state: The directory of ``[state]``.
    """
    with observed(directory, state=state) as observability:
        play(observability.recorder)


def observed(
    directory: Path, *, state: Path | None = None, **plugins: dict[str, Any]
) -> Observability:
    """Give an observability with a journal, to be started by ``with``."""
    journal = {"directory": directory, "segment_bytes": 65_536}
    return Observability(
        Config(plugins={"journal": journal, **plugins}, state=StateConfig(directory=state))
    )


def _lead(recorder: Recorder) -> None:
    with recorder.agent(LEAD, ring=2, name="lead"):
        with recorder.model("m-1", provider="acme"):
            recorder.usage(
                model="m-1", input_tokens=1_200, output_tokens=80, cost=0.004, currency="EUR"
            )
        with recorder.elevation(2, 1, reason="needs the release key", ttl_seconds=600):
            recorder.decision(True, tool_name="sign")
            with recorder.tool("sign"):
                pass
        recorder.decision(False, tool_name="deploy", reason="ring 1 or better")
        with recorder.tool("deploy", call_id="call-7") as deploy:
            deploy.block("not in this ring")
        recorder.breach("erase_disk", ring=2, required_ring=0, severity="high")
        recorder.handoff(BUILDER, reason="needs a build")


def _builder(recorder: Recorder) -> None:
    with recorder.agent(BUILDER, ring=3, name="builder"):
        with contextlib.suppress(TimeoutError), recorder.tool("fetch", arguments={"tag": "42"}):
            raise TimeoutError("no answer in 30 s")
        with recorder.saga("publish", saga_id="publish-1", step_count=2) as saga:
            for action in ("compile", "upload"):
                with saga.step(action):
                    recorder.vfs.write(f"dist/{action}.tar")
        with (
            contextlib.suppress(ConnectionError),
            recorder.saga("order", saga_id="order-1", compensate=True) as saga,
        ):
            with saga.step("reserve", undo=lambda: None):
                pass
            with saga.step("charge"):
                raise ConnectionError("the bank does not answer")
        with (
            contextlib.suppress(ConnectionError),
            recorder.saga("notify", saga_id="notify-1", compensate=True) as saga,
        ):
            with saga.step("mail", undo=_cannot_be_undone):
                pass
            with saga.step("page"):
                raise ConnectionError("the pager does not answer")
        recorder.vfs.delete("dist/old.tar")


def _cannot_be_undone() -> None:
    raise RuntimeError("a mail cannot be called back")


def _rogue(recorder: Recorder) -> None:
    with contextlib.suppress(RuntimeError), recorder.agent(ROGUE, ring=3, name="rogue"):
        recorder.liability.quarantine_entered("q-1", reason="ring_breach")
        recorder.security.agent_killed("manual", severity="high")
        raise RuntimeError("stopped by force")


def begin_to_watch(recorder: Recorder) -> None:
    """Begin work that does not end: a run, in it an elevated agent, a tool and a saga."""
    recorder.open("run", WATCH, name="watch", kind="task", session_id="night")
    recorder.open("agent", AGENT, WATCH, agent_did=WATCHER, name="watcher", ring=3)
    recorder.point(
        "ring.elevated",
        AGENT,
        elevation_id="e-1",
        from_ring=3,
        to_ring=1,
        ttl_seconds=3_600,
        reason="on call",
    )
    recorder.open("tool", POLL, AGENT, tool_name="poll", call_id="call-9")
    recorder.open("saga", SAGA, AGENT, name="nightly", saga_id="nightly-1")
    recorder.open("step", STEP, SAGA, action="back up", step_id="back-up")


def end_watch(recorder: Recorder, error: BaseException | str | None = None) -> None:
    """End the tool, which fails with *error* if there is one, and all around it."""
    recorder.close(POLL, error)
    for key in (STEP, SAGA, AGENT, WATCH):
        recorder.close(key)
