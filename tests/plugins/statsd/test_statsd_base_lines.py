"""What a server was told is not told again: by a fresh instance, or after a send that failed."""

import random
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import Config, MetricFamily, MetricKind, Observability, PluginContext
from hypervisor_statsd import StatsDConfig, StatsDPlugin
from hypervisor_statsd.lines import Series
from hypervisor_statsd.plugin import tell
from hypervisor_statsd.transport import Transport
from tests.waiting import wait_until

BREACHES = re.compile(
    r"agent_hypervisor_ring_breaches_by_severity_total:([\d.]+)\|c\|#severity:high"
)


@define(eq=False)
class Server:
    """Reads datagrams while it may, and adds up what they tell of breaches."""

    path: Path
    total: float = 0.0
    reading: threading.Event = field(factory=threading.Event)
    _ended: threading.Event = field(factory=threading.Event)

    def run(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
            bound.bind(str(self.path))
            bound.settimeout(0.05)
            while not self._ended.is_set():
                if not self.reading.wait(0.02):
                    continue
                try:
                    said = bound.recv(65_536).decode("ascii")
                except TimeoutError:
                    continue
                self.total += sum(float(found) for found in BREACHES.findall(said))

    def stop(self) -> None:
        self._ended.set()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path / "statsd")
    one.reading.set()
    thread = threading.Thread(target=one.run, daemon=True)
    thread.start()
    yield one
    one.stop()
    thread.join(30)


def test_instance_that_takes_over_goes_on_from_what_was_told(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StatsDPlugin, "longest_call_seconds", 0.0)  # so that it hangs soon
    table = {
        "via": "unixgram",
        "socket": str(server.path),
        "hook_timeout_seconds": 0.4,
        "max_datagram_bytes": 64,
    }
    wait_until(server.path.exists)
    with Observability(Config(plugins={"statsd": table})) as observability:

        def breach() -> None:
            for _ in range(5):
                observability.recorder.breach("shell", ring=3, severity="high")

        first = observability.plugin("statsd")
        breach()
        assert observability.flush(30)
        wait_until(lambda: server.total == 5)
        server.reading.clear()
        breach()
        observability.flush(0.1)
        wait_until(lambda: observability.plugin("statsd") is not first)
        server.reading.set()
        breach()
        wait_until(lambda: observability.flush(1))
        wait_until(lambda: server.total == 15)
        assert observability.flush(30)
        assert observability.counts()["statsd"].dropped.keys() <= {"in_doubt"}

    # Nobody else stops what was given up; it may still be sending.
    wait_until(lambda: "hvobs-statsd" not in {thread.name for thread in threading.enumerate()})
    first.stop()
    assert server.total == 15


def counter(value: float) -> list[MetricFamily]:
    return [MetricFamily(name="c_total", kind=MetricKind.COUNTER, help="", series={(): value})]


def test_instance_that_takes_over_in_an_agent_loses_nothing_that_was_not_told(
    context: PluginContext,
) -> None:
    class Totals:
        value = 100.0

        def collect(self) -> list[MetricFamily]:
            return counter(self.value)

    totals = Totals()
    context = evolve(context, resumed=True, metrics=totals)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(30)
        config = StatsDConfig(port=bound.getsockname()[1])
        first = StatsDPlugin(config)
        first.start(context)
        totals.value = 103.0
        second = StatsDPlugin(config)
        second.start(context)
        second.export_metrics(totals.collect())
        said = bound.recv(65_536).decode("ascii")
        first.stop()
        second.stop()

    assert "c_total:3|c" in said


def test_what_was_not_sent_is_told_again_unless_somebody_else_has_told_it() -> None:
    series = [Series(("a:", "|c")) for _ in range(3)]
    group = [(f"{number}", one, 5.0) for number, one in enumerate(series)]
    untell = tell(group)
    assert [one.told for one in series] == [5, 5, 5]

    series[2].told = 9.0  # by the instance that took over, which has sent the difference alone
    untell(1)

    assert [one.told for one in series] == [5, 0, 4]


@given(
    gains=st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=6),
    order=st.randoms(use_true_random=False),
)
def test_what_was_not_sent_is_told_later_in_whatever_order_calls_fail(
    gains: list[tuple[int, bool]], order: random.Random
) -> None:
    series = Series(("a:", "|c"))
    total, sent, failed = 0, 0, []
    for gain, succeeds in gains:  # each call begins before those that hang have failed
        told, total = series.told, total + gain
        untell = tell([(f"a:{total - told}|c", series, total)])
        if succeeds:
            sent += int(total - told)
        else:
            failed.append(untell)
    order.shuffle(failed)
    for untell in failed:
        untell(0)

    assert series.told == sent  # the rest is told with the next push


def test_call_that_fails_late_changes_nothing_of_a_counter_that_began_anew() -> None:
    series = Series(("a:", "|c"))
    untell = tell([("a:100|c", series, 100)])
    tell([("a:3|c", series, 3)])
    untell(0)

    assert series.told == 3


def test_call_that_was_given_up_tells_nothing_more_once_another_has_taken_over(
    context: PluginContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    families = [
        MetricFamily(name=f"c{n}_total", kind=MetricKind.COUNTER, help="", series={(): 1.0})
        for n in range(30)
    ]
    config = StatsDConfig(max_datagram_bytes=64)
    first, second = StatsDPlugin(config), StatsDPlugin(config)
    sent: list[str] = []

    def hang(text: str, _deadline: object) -> None:
        if not sent:
            second.start(context)
        sent.append(text)

    monkeypatch.setattr(Transport, "send", lambda _, text, deadline: hang(text, deadline))
    first.start(context)
    first.export_metrics(families)
    by_first = len(sent)
    second.export_metrics(families)

    assert by_first == 1
    told = [line for text in sent for line in text.splitlines() if line.startswith("c")]
    assert len(told) == len(set(told)) == 30
