import logging
from collections.abc import Iterator

import pytest

from hypervisor_observability.text import limited_log
from hypervisor_observability.text.limited_log import LimitedLog


class Clock:
    """A stand-in for the module ``time``."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limited_log, "time", clock)
    return clock


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("test_limited_log")
    yield logger
    logger.handlers.clear()


def test_kind_is_logged_once_an_interval_and_tells_what_was_left_out(
    clock: Clock, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    limited = LimitedLog(logger.name, interval_seconds=10)
    for _ in range(5):
        limited.warning("disk", "disk %s is full", "a")
    clock.now += 9.9
    limited.warning("disk", "disk %s is full", "a")
    clock.now += 0.2
    limited.warning("disk", "disk %s is full", "a")
    clock.now += 11
    limited.warning("disk", "disk %s is full", "a")

    assert caplog.messages == [
        "disk a is full",
        "disk a is full (5 more like this since the last message)",
        "disk a is full",
    ]


def test_kinds_do_not_hold_up_each_other(
    clock: Clock, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    limited = LimitedLog(logger.name)
    limited.warning("one", "one")
    limited.warning("two", "two", error=ValueError("why"))

    assert caplog.messages == ["one", "two"]
    assert caplog.records[1].exc_info is not None
    assert str(caplog.records[1].exc_info[1]) == "why"


def test_memory_is_bounded_whatever_the_number_of_kinds(
    clock: Clock, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    limited = LimitedLog(logger.name)
    for number in range(2_500):
        limited.warning(f"kind {number}", "message")
        limited.warning(f"kind {number}", "message")

    assert len(caplog.messages) == 2_500
    assert len(limited._last) <= 1_000
    assert len(limited._left_out) <= 1_000


def test_failing_log_handler_does_not_reach_whoever_warns(
    clock: Clock, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("no disk")

    broken = Broken()
    logger.addHandler(broken)
    limited = LimitedLog(logger.name)
    limited.warning("kind", "message")
    logger.removeHandler(broken)
    clock.now += 11
    limited.warning("kind", "message")

    assert caplog.messages == ["message (1 more like this since the last message)"]


@pytest.mark.parametrize("said", ["\x1b]0;owned\x07", "\x9b2J", "a\rb", "\u202e", "\ud800"])
def test_nothing_that_is_logged_commands_who_reads_the_log(
    said: str, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    limited = LimitedLog(logger.name)
    limited.warning("text", "the server says %s in %d lines", said, 1)
    limited.warning("error", "the server fails: %s", ValueError(said))
    limited.warning("lines", "the server says: %s", f"one\n{said}")

    assert len(caplog.messages) == 3
    for message in caplog.messages:
        assert all(line.isprintable() for line in message.split("\n"))
        message.encode()
