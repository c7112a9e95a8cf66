"""The bucket stays readable, however writes of one agent meet."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, field

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.following.entries import Entry, Place, Snapshot
from hypervisor_nats.following.keeping import Kept, entry_key
from hypervisor_nats.following.server import Server
from hypervisor_nats.link import Link
from tests.plugins.nats.servers import config_of, make_stream, one_server

_SECONDS = 60.0
_LARGE = {"noise": random.Random(1).randbytes(4_000).hex()}
"""A state too large for an entry: it has a piece of its own."""


@pytest.fixture
def link(nats_config: NatsConfig) -> Iterator[Link]:
    made = Link(nats_config, "test")
    yield made
    made.close()


@define(eq=False)
class Halting(Server):
    """Halts within a write of an entry, when asked to."""

    under_way: asyncio.Event = field(factory=asyncio.Event)
    goes_on: asyncio.Event = field(factory=asyncio.Event)
    halts: bool = False

    async def put(self, key: str, value: bytes, last: int | None = None) -> int:
        if self.halts and key.startswith("at."):
            self.halts = False
            self.under_way.set()
            await self.goes_on.wait()
        return await super().put(key, value, last)


@pytest.mark.fault("N12")
def test_place_that_is_saved_beside_a_snapshot_does_not_lose_it(link: Link) -> None:
    async def save_both() -> Snapshot:
        server = Halting(link)
        kept = Kept(server, "reader", 0, "me", Entry(owner=None, stream="s"), 0)
        entry = Entry(owner="me", stream="s", place=Place(1))
        await kept.save(entry, Snapshot(_LARGE).to_bytes())
        server.halts = True
        with_snapshot = asyncio.ensure_future(kept.save(entry, Snapshot(_LARGE).to_bytes()))
        await server.under_way.wait()
        alone = asyncio.ensure_future(kept.save(entry, None))
        await asyncio.sleep(0)  # it has looked what it finds, and waits
        server.goes_on.set()
        await asyncio.gather(with_snapshot, alone)
        (found,) = await server.last_of(entry_key("reader", 0))
        return await Kept(
            server, "reader", 0, "other", Entry.from_bytes(found.data or b""), found.revision
        ).snapshot()

    assert link.run(save_both(), _SECONDS).state == _LARGE


def test_state_that_is_larger_than_a_message_may_be_is_kept(tmp_path: Path) -> None:
    state = {"noise": random.Random(1).randbytes(60_000).hex()}

    async def save_and_read(link: Link) -> Snapshot:
        kept = Kept(Server(link), "reader", 0, "me", Entry(owner=None, stream="s"), 0)
        await kept.save(Entry(owner="me", stream="s", place=Place(1)), Snapshot(state).to_bytes())
        return await kept.snapshot()

    with one_server(tmp_path / "server", "max_payload: 16384") as server:
        config = config_of(server)
        make_stream(config)
        made = Link(config, "test")
        try:
            assert made.run(save_and_read(made), _SECONDS).state == state
        finally:
            made.close()


def test_more_keys_are_read_than_a_server_gives_at_once(link: Link) -> None:
    keys = [f"at.reader.{number}" for number in range(1_100)]

    async def read() -> list[str]:
        server = Server(link)
        await asyncio.gather(*(server.put(key, b"{}") for key in keys))
        return [one.key for one in await server.last_of(*keys)]

    assert sorted(link.run(read(), _SECONDS)) == sorted(keys)
