"""The stream that a journal is sent into: looked at before anything is sent."""

from attrs import frozen

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.following.server import Server
from hypervisor_nats.names import subject_of
from hypervisor_nats.shipping.patience import patiently
from hypervisor_nats.upkeep.limits import obstacles, partitions_of
from hypervisor_observability.errors import StreamUnavailableError

_HEADERS_BYTES = 4_096
"""Kept free in a message for its headers."""


@frozen
class FleetStream:
    """A stream of ours.

    Attributes:
        id: Its name, and when it was made: another one of the same name has another.
        partitions: How many it has.
        limit_bytes: Most bytes of records that a message may have.
    """

    id: str
    partitions: int
    limit_bytes: int

    def subject_for(self, config: NatsConfig, service: str, run: str, former: str) -> str:
        """Give the subject of a run's messages.

        A run keeps that which it had, so that one consumer has all of it, as long as its partition
        is one of the stream's.

        Args:
            config: Names what subjects begin with.
            service: Of the configuration.
            run: Name of the run.
            former: The subject that it had; empty: nothing of it was sent.
        """
        if former.startswith(f"{config.subject}."):
            _, partition, _ = former.rsplit(".", 2)
            if partition.isdecimal() and int(partition) < self.partitions:
                return former
        return subject_of(config.subject, service, run, self.partitions)


async def look_at(server: Server) -> FleetStream:
    """Look at the stream.

    Args:
        server: Has it.

    Raises:
        StreamUnavailableError: It is not one of ours; the text says why, and what to do.
        NatsError: There is none, or no answer.
    """
    config, largest = server.link.config, (await server.client()).max_payload
    info = await patiently(
        lambda: server.ask(f"STREAM.INFO.{config.stream}"), config.timeout_seconds
    )
    found = info["config"]
    problems, partitions = obstacles(config, found), partitions_of(found)
    if not problems and partitions < 1:
        problems = [f"stream {config.stream} has no number of partitions: choose another stream"]
    if problems:
        raise StreamUnavailableError(server.link.place, "; ".join(problems))
    most = found.get("max_msg_size", -1)
    return FleetStream(
        id=f"{config.stream} {info.get('created')}",
        partitions=partitions,
        limit_bytes=max(0, (min(largest, most) if most > 0 else largest) - _HEADERS_BYTES),
    )
