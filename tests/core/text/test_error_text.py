"""Whatever a plugin raises, the letters and the log say what it was, and delivery goes on."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from hypervisor_observability import EventType, HypervisorEvent, Observability, hookimpl
from hypervisor_observability.config import Config, StateConfig
from hypervisor_observability.text.error_text import line_of


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class Refusing:
    """Raises *error* for events of one session, and takes the others."""

    name = "refusing"

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.taken = 0

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        if any(event.session_id == "bad" for event in events):
            raise self.error
        self.taken += len(events)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnprintableError(), "UnprintableError"),
        (ValueError(), "ValueError"),
        (
            ExceptionGroup("unhandled", [ValueError("row 1"), OSError("row 2")]),
            "ExceptionGroup: unhandled (2 sub-exceptions): ValueError: row 1; OSError: row 2",
        ),
    ],
)
def test_letter_says_what_the_plugin_raised(tmp_path: Path, error: Exception, reason: str) -> None:
    plugin = Refusing(error)
    config = Config(state=StateConfig(directory=tmp_path))

    with Observability(config, plugins=[plugin]) as observability:
        for session in ("good", "bad", "good"):
            observability.bus.record(EventType.SESSION_CREATED, session_id=session)
        assert not observability.flush(30)  # one was refused

    (line,) = (tmp_path / "dead" / "refusing.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == reason == line_of(error)
    assert plugin.taken == 2
