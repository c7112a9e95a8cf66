"""The stream as its server reports it."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from nats.js.errors import NotFoundError

from hypervisor_nats.following.server import Server
from hypervisor_nats.names import FORMAT, FORMAT_KEY, PARTITIONS_KEY
from hypervisor_nats.reasons import no_stream
from hypervisor_nats.stream_state import StreamState, state_values
from hypervisor_observability.errors import StreamUnavailableError

_MOST_PARTITIONS = 1_024


@frozen
class StreamFacts(StreamState):
    """What a reader must know about the stream.

    Attributes:
        partitions: How many partitions it has.
    """

    partitions: int


async def facts_of(server: Server) -> StreamFacts:
    """Ask the server for the facts of the stream.

    Raises:
        StreamUnavailableError: There is no stream, or it was not made for events; the text says
            what to do.
        NatsError: No server answers.
    """
    name, place = server.link.config.stream, server.link.place
    try:
        info = await server.ask(f"STREAM.INFO.{name}")
    except NotFoundError as error:
        raise StreamUnavailableError(place, no_stream(server.link.config)) from error
    metadata: Mapping[str, Any] = info["config"].get("metadata") or {}
    told = str(metadata.get(PARTITIONS_KEY, ""))
    if not told.isdecimal() or not 1 <= int(told) <= _MOST_PARTITIONS:
        raise StreamUnavailableError(
            place, f"the stream {name} was not made for events: it has no {PARTITIONS_KEY};"
            " 'hvobs nats init' says what is missing",
        )  # fmt: skip
    if metadata.get(FORMAT_KEY, FORMAT) != FORMAT:
        raise StreamUnavailableError(
            place, f"format {metadata[FORMAT_KEY]!s:.20} of the stream {name}; this release"
            f" reads {FORMAT}",
        )  # fmt: skip
    return StreamFacts(**state_values(info), partitions=int(told))
