"""What the stream holds in the end."""

from collections import defaultdict
from collections.abc import Mapping

from attrs import frozen
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.messages import Head
from tests.plugins.nats.servers import ask_server

_FETCH = 1_000


@frozen
class Held:
    """What was found.

    Attributes:
        messages: How many.
        missing: Numbers of runs that no message has.
        twice: Numbers of runs that more than one message has.
        unended: Runs without a message that ends them.
    """

    messages: int
    missing: int
    twice: int
    unended: int


def held(config: NatsConfig, sequences: Mapping[str, set[int]]) -> Held:
    """Look at every message.

    :param sequences: The numbers of each run's events.
    """
    heads = ask_server(config, lambda jetstream: _heads(jetstream, config))
    ranges: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for head in heads:
        ranges[head.run].append((head.first, head.next))
    missing = twice = 0
    for run, numbers in sequences.items():
        counted: defaultdict[int, int] = defaultdict(int)
        for first, end in ranges[run]:
            for number in range(first, end):
                counted[number] += 1
        missing += len(numbers - counted.keys())
        twice += sum(count - 1 for number, count in counted.items())
    ended = {head.run for head in heads if head.ended}
    return Held(len(heads), missing, twice, len(sequences.keys() - ended))


async def _heads(jetstream: JetStreamContext, config: NatsConfig) -> list[Head]:
    info = await jetstream.stream_info(config.stream)
    subscription = await jetstream.pull_subscribe(
        f"{config.subject}.>",
        stream=config.stream,
        config=ConsumerConfig(
            deliver_policy=DeliverPolicy.ALL, headers_only=True, inactive_threshold=60
        ),
    )
    heads: list[Head] = []
    while len(heads) < info.state.messages:
        for message in await subscription.fetch(_FETCH, timeout=20):
            heads.append(Head.from_headers(message.headers))
            await message.ack()
    await subscription.unsubscribe()
    return heads
