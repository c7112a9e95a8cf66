"""Names of hosts: looked up beside the worker, again on change, and never waited for long."""

import socket
import time

import pytest

from hypervisor_observability import EventType, Observability, RetryLater
from hypervisor_statsd import StatsDConfig, StatsDPlugin
from tests.plugins.statsd.plugins import MakePlugin, counter
from tests.plugins.statsd.receivers import Receiver
from tests.resolvers import Names, at
from tests.waiting import wait_until

pytestmark = pytest.mark.fault("S5")

SECONDS = 30


def test_change_of_the_address_is_followed_though_the_old_one_is_silent(
    make_plugin: MakePlugin, receiver: Receiver, names: Names
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        names.answer = [at("127.0.0.1", silent.getsockname()[1])]
        plugin = make_plugin(host="stats.example", lookup_seconds=0.001)
        plugin._transport.server._routes.lookup.resolve = names
        plugin.export_metrics([counter(1)])
        names.answer = [at("127.0.0.1", receiver.port), *names.answer]
        total = 1

        # The place that it is connected to is still one of the name's.
        for _ in range(3):
            plugin.export_metrics([counter(total := total + 1)])
            time.sleep(0.002)
        assert receiver.lines() == []
        names.answer = names.answer[:1]

        def arrives() -> bool:
            nonlocal total
            total += 1
            plugin.export_metrics([counter(total)])
            return bool(receiver.lines())

        wait_until(arrives, timeout=SECONDS)


def test_second_address_is_tried_where_nobody_listens_at_the_first(
    receiver: Receiver, names: Names
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        holder.connect(("127.0.0.1", holder.getsockname()[1]))
        names.answer = [
            at("127.0.0.1", holder.getsockname()[1]),
            at("127.0.0.1", receiver.port),
        ]
        plugin = StatsDPlugin(StatsDConfig(host="stats.example"), resolve=names)
        plugin.export_metrics([counter()])
        plugin.stop()

    assert receiver.lines() == ["n_total:1|c|#agent:a"]


def test_name_that_leads_nowhere_asks_to_retry(names: Names) -> None:
    names.answer = socket.gaierror(-2, "Name or service not known")
    plugin = StatsDPlugin(StatsDConfig(host="stats.example"), resolve=names)

    with pytest.raises(RetryLater, match=r"stats\.example:8125: Name or service not known"):
        plugin.export_metrics([counter()])
    assert plugin.traffic.send_errors == 1


def test_names_that_take_ten_seconds_hold_up_neither_emit_nor_the_worker(
    receiver: Receiver, names: Names
) -> None:
    names.answer = [at("127.0.0.1", receiver.port)]
    names.open.clear()
    plugin = StatsDPlugin(StatsDConfig(host="stats.example"), resolve=names)
    with Observability(plugins=[plugin]) as observability:
        for _ in range(100):
            observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did="did:mesh:a")
        # The question hangs, and is given up after 1.5 s; nothing is lost for it.
        assert not observability.flush(timeout=10)
        assert names.asked_in == ["hvobs-lookup"]
        assert observability.counts()["statsd"].dropped == {}
        names.open.set()
        assert observability.flush(timeout=SECONDS) or observability.flush(timeout=SECONDS)
        assert observability.counts()["statsd"].delivered == 100

    breaches = [line for line in receiver.lines() if "ring_breaches_total:" in line]
    assert breaches[0].startswith("agent_hypervisor_ring_breaches_total:100|c")
