"""Makes the stream of a fleet and the bucket of its positions, or changes them."""

from typing import Any

from attrs import frozen
from nats.js.api import KeyValueConfig
from nats.js.errors import APIError

from hypervisor_nats.api import ask
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.link import Link
from hypervisor_nats.reasons import STREAM_NOT_FOUND
from hypervisor_nats.upkeep.limits import Change

_CLUSTER = 3
Settings = dict[str, Any]


@frozen
class Found:
    """What a server has of a fleet.

    Attributes:
        stream: Settings of the stream, in JetStream's words; None: there is none.
        bucket: Those of the stream behind the bucket.
        state: How much the stream holds.
        servers: Servers that the client knows.
        max_payload: Most bytes of a message.
        version: Of the server that answers.
    """

    stream: Settings | None
    bucket: Settings | None
    state: Settings
    servers: int
    max_payload: int
    version: str

    @property
    def usual_replicas(self) -> int:
        """As many as suit the servers: one of them may fail where there are three."""
        return _CLUSTER if self.servers >= _CLUSTER else 1


async def find(link: Link) -> Found:
    """Look at what is there.

    Raises:
        NatsError: No server answers, or it refuses.
        OSError: Likewise.
    """
    client, config = await link.client(), link.config
    stream = await _info(client, config.stream, config)
    bucket = await _info(client, f"KV_{config.bucket}", config)
    return Found(
        stream=stream and stream["config"],
        bucket=bucket and bucket["config"],
        state=stream["state"] if stream else {},
        servers=len(client.servers),
        max_payload=client.max_payload,
        version=str(client.connected_server_version),
    )


async def make(link: Link, settings: Settings) -> None:
    """Make the stream.

    Raises:
        NatsError: It cannot be made.
    """
    client = await link.client()
    await ask(client, f"STREAM.CREATE.{link.config.stream}", settings, seconds=_patience(link))


async def make_bucket(link: Link, replicas: int) -> None:
    """Make the bucket.

    Raises:
        NatsError: It cannot be made.
    """
    jetstream = (await link.client()).jetstream(timeout=_patience(link))
    await jetstream.create_key_value(
        KeyValueConfig(
            bucket=link.config.bucket,
            description="How far the readers of a fleet are: hypervisor-observability",
            history=1,
            replicas=replicas,
        )
    )


async def change(link: Link, found: Settings, changes: list[Change]) -> None:
    """Change settings of a stream, and leave the others as they are.

    Raises:
        NatsError: It cannot be changed so.
    """
    # The server keeps those keys itself.
    metadata = {
        key: value
        for key, value in (found.get("metadata") or {}).items()
        if not key.startswith("_nats.")
    }
    settings = {**found, "metadata": metadata, **{one.key: one.will for one in changes}}
    client = await link.client()
    await ask(client, f"STREAM.UPDATE.{found['name']}", settings, seconds=_patience(link))


async def _info(client: Any, name: str, config: NatsConfig) -> Settings | None:
    try:
        return await ask(client, f"STREAM.INFO.{name}", seconds=config.timeout_seconds)
    except APIError as error:
        if error.err_code == STREAM_NOT_FOUND:
            return None
        raise


def _patience(link: Link) -> float:
    """A cluster agrees on a new stream first: seconds."""
    return max(30.0, link.config.timeout_seconds)
