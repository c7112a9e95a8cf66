"""A store in memory that several agents share holds what every such store must."""

from contextlib import AbstractContextManager
from pathlib import Path

from hypervisor_observability.host.agent import Agent
from hypervisor_observability.testing import SharedStoreContract
from tests.stores.shared_shelf_store import (
    FollowedSharedShelf,
    SharedShelfPlugin,
    cut_off,
    unreadable,
)
from tests.stores.shelf_store import ShelfConfig


class TestSharedShelfStore(SharedStoreContract):
    def plugin(self, place: Path) -> object:
        return SharedShelfPlugin(ShelfConfig(place))

    def unreadable(self, place: Path) -> AbstractContextManager[None]:
        return unreadable(place)

    def cut_off(self, place: Path, agent: Agent) -> AbstractContextManager[None]:
        assert isinstance(agent.followed, FollowedSharedShelf)
        return cut_off(place, agent.followed)
