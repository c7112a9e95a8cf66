"""Makes the stream of a fleet and the bucket of its positions, or changes them."""

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from nats.js.api import KeyValueConfig
from nats.js.errors import NotFoundError

from hypervisor_nats.following.server import Server
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


async def find(server: Server) -> Found:
    """Look at what is there.

    Raises:
        NatsError: No server answers, or it refuses.
        OSError: The connection failed.
    """
    config, client = server.link.config, await server.client()
    stream = await _info(server, config.stream)
    bucket = await _info(server, f"KV_{config.bucket}")
    return Found(
        stream=stream and stream["config"],
        bucket=bucket and bucket["config"],
        state=stream["state"] if stream else {},
        servers=len(client.servers),
        max_payload=client.max_payload,
        version=str(client.connected_server_version),
    )


async def make(server: Server, settings: Settings) -> None:
    """Make the stream.

    Raises:
        NatsError: It cannot be made.
    """
    await server.ask(f"STREAM.CREATE.{settings['name']}", settings)


async def make_bucket(server: Server, replicas: int) -> None:
    """Make the bucket.

    Raises:
        NatsError: It cannot be made.
    """
    jetstream = (await server.client()).jetstream(timeout=server.timeout)
    await jetstream.create_key_value(
        KeyValueConfig(
            bucket=server.link.config.bucket,
            description="How far the readers of a fleet are: hypervisor-observability",
            history=1,
            replicas=replicas,
            direct=True,
        )
    )


async def change(server: Server, found: Settings, changes: Sequence[Change]) -> None:
    """Change settings of a stream, and leave the others as they are.

    Raises:
        NatsError: It cannot be changed so.
    """
    # The server keeps these itself.
    metadata = {
        key: value
        for key, value in (found.get("metadata") or {}).items()
        if not key.startswith("_nats.")
    }
    settings = {**found, "metadata": metadata, **{one.key: one.will for one in changes}}
    await server.ask(f"STREAM.UPDATE.{found['name']}", settings)


async def _info(server: Server, name: str) -> Settings | None:
    try:
        return await server.ask(f"STREAM.INFO.{name}")
    except NotFoundError:
        return None
