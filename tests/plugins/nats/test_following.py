"""Agents share the stream: each event is for one of them, once, in the order of its run."""

from hypervisor_nats.config import NatsConfig
from tests.plugins.nats.followers import (
    await_events,
    await_sharing,
    await_state,
    fleet,
    publish_run,
)


def test_reader_has_each_event_of_all_runs_once(nats_config: NatsConfig) -> None:
    for _ in range(5):
        publish_run(nats_config, 30)

    with fleet(nats_config, "otel") as [reader]:
        assert reader.reads(150)
        publish_run(nats_config, 30)
        assert reader.reads(180)
        assert reader.end() == 180
        await_state(reader, count=180)


def test_agents_share_the_partitions(nats_config: NatsConfig) -> None:
    with fleet(nats_config, "otel") as [first]:
        first.await_parts()
        publish_run(nats_config, 50)
        assert first.reads(50)
        with fleet(nats_config, "otel") as [second]:
            await_sharing(first, second)
            for _ in range(10):
                publish_run(nats_config, 20)
            await_events(first, second, count=250)
            assert len(first.events) + len(second.events) == 250
            assert not set(first.stream.parts) & set(second.stream.parts)
        first.await_parts()
        publish_run(nats_config, 10)
        first.read_until(lambda: len(first.events) + len(second.events) >= 260)
        await_state(first, count=260)
    assert len(set(first.ids + second.ids)) == 260
