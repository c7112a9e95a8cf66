"""The stream that a journal is sent into: looked at before anything is sent."""

from collections.abc import Mapping

from attrs import frozen
from nats.js.api import StreamInfo
from nats.js.client import JetStreamContext

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.names import FORMAT, FORMAT_KEY, PARTITIONS_KEY, subject_of
from hypervisor_observability.errors import StreamUnavailableError

_HEADERS_BYTES = 4_096
"""Kept free in a message for its headers."""
_INIT = "'hvobs nats init' makes one"


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

    def subject_for(self, config: NatsConfig, service: str, run: str, former: str | None) -> str:
        """Give the subject of a run's messages.

        A run keeps that which it had, so that one consumer has all of it, as long as its partition
        is one of the stream's.

        Args:
            config: Names what subjects begin with.
            service: Of the configuration.
            run: Name of the run.
            former: The subject that it had; None: nothing of it was sent.
        """
        if former is not None and former.startswith(f"{config.subject}."):
            _, partition, _ = former.rsplit(".", 2)
            if partition.isdecimal() and int(partition) < self.partitions:
                return former
        return subject_of(config.subject, service, run, self.partitions)


async def look_at(
    jetstream: JetStreamContext, config: NatsConfig, place: str, max_payload: int
) -> FleetStream:
    """Look at the stream.

    Args:
        jetstream: Of a connection.
        config: Names the stream.
        place: Where it is, for people.
        max_payload: Most bytes that the server takes in a message.

    Raises:
        StreamUnavailableError: It is not one of ours; the text says why, and what to do.
        NatsError: There is none, or no answer.
    """
    info = await jetstream.stream_info(config.stream)
    metadata = info.config.metadata or {}
    problem = _problem_of(info, metadata, config)
    if problem is not None:
        raise StreamUnavailableError(place, problem)
    most = info.config.max_msg_size or 0
    largest = min(max_payload, most) if most > 0 else max_payload
    made = "" if info.created is None else info.created.isoformat()
    return FleetStream(
        id=f"{config.stream} {made}",
        partitions=int(metadata[PARTITIONS_KEY]),
        limit_bytes=max(0, largest - _HEADERS_BYTES),
    )


def _problem_of(info: StreamInfo, metadata: Mapping[str, str], config: NatsConfig) -> str | None:
    partitions, found = metadata.get(PARTITIONS_KEY, ""), metadata.get(FORMAT_KEY)
    if not (partitions.isascii() and partitions.isdecimal() and int(partitions) > 0):
        return (
            f"the stream {config.stream} is not one of ours: its metadata has no {PARTITIONS_KEY};"
            f" name another in stream: {_INIT}"
        )
    if found != FORMAT:
        return f"its messages have the format {found}; this release writes {FORMAT}"
    wanted = f"{config.subject}.>"
    subjects = info.config.subjects or []
    if wanted not in subjects:
        return (
            f"the stream {config.stream} takes {', '.join(subjects) or 'no subjects'},"
            f" not {wanted}: set subject in [plugins.nats] as it was set when the stream was made"
        )
    return None
