"""The receiver that comes with the plugin counts what it gets."""

import socket
from collections.abc import Iterator

import pytest

from hypervisor_statsd.receiver import StatsDReceiver


@pytest.fixture
def statsd() -> Iterator[StatsDReceiver]:
    receiver = StatsDReceiver()
    receiver.start()
    yield receiver
    receiver.stop()


def test_counters_sum_up_over_datagrams(statsd: StatsDReceiver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", statsd.port))
        client.send(b"events:2|c|#type:a\nevents:1|c|#type:b,x:y")
        client.send(b"events:3|c|#type:a\nw:1.5|ms")

        assert statsd.wait_for("events", 6, 1, timeout=30)
    assert statsd.counter("events") == {"a": 5, "b": 1}
    assert statsd.counter("others") == {}
    assert (statsd.datagrams, statsd.timers, statsd.unreadable) == (2, 1, 0)


def test_line_that_is_no_metric_is_counted() -> None:
    receiver = StatsDReceiver()

    receiver.keep(b"nonsense\nevents:1|c\ngauge:5|g\n\xff\xfe")

    assert receiver.unreadable == 2
    assert receiver.counter("events") == {"": 1}


def test_waiting_for_what_never_comes_ends(statsd: StatsDReceiver) -> None:
    assert not statsd.wait_for("events", 1, 0, timeout=0.01)


def test_port_is_free_after_stop() -> None:
    receiver = StatsDReceiver()
    receiver.start()
    port = receiver.port
    receiver.stop()
    receiver.stop()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))
    with pytest.raises(RuntimeError, match="not started"):
        _ = receiver.port
