"""Agents share the stream: each event is for one of them, once, in the order of its run."""

from hypervisor_nats.config import NatsConfig
from tests.plugins.nats.followers import fleet, publish_run
from tests.waiting import wait_until


def test_reader_has_each_event_of_all_runs_once(nats_config: NatsConfig) -> None:
    for _ in range(5):
        publish_run(nats_config, 30)

    with fleet(nats_config, "otel") as [reader]:
        assert reader.reads(150)
        publish_run(nats_config, 30)
        assert reader.reads(180)
        assert reader.end() == 180
    assert sum(reader.state.values()) == 180


def test_agents_share_the_partitions(nats_config: NatsConfig) -> None:
    with fleet(nats_config, "otel") as [first]:
        first.read_until(lambda: len(first.stream.parts) == 4)
        publish_run(nats_config, 50)
        assert first.reads(50)
        with fleet(nats_config, "otel") as [second]:

            def is_shared() -> bool:
                first.step()
                second.step()
                return len(first.stream.parts) == len(second.stream.parts) == 2

            wait_until(is_shared)
            for _ in range(10):
                publish_run(nats_config, 20)

            def is_all_there() -> bool:
                first.step()
                second.step()
                return len(first.events) + len(second.events) >= 250

            wait_until(is_all_there)
            assert not set(first.stream.parts) & set(second.stream.parts)
        first.read_until(lambda: len(first.stream.parts) == 4)
        publish_run(nats_config, 10)
        first.read_until(lambda: len(first.events) + len(second.events) >= 260)
        assert sum(first.state.values()) == 260
    assert len(set(first.ids + second.ids)) == 260
