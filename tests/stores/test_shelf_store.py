"""A store that a test makes up holds what every store must."""

from contextlib import AbstractContextManager
from pathlib import Path

from hypervisor_observability.testing import StoreContract
from tests.stores.shelf_store import ShelfConfig, ShelfPlugin, unreadable


class TestShelfStore(StoreContract):
    def plugin(self, place: Path) -> object:
        return ShelfPlugin(ShelfConfig(place))

    def unreadable(self, place: Path) -> AbstractContextManager[None]:
        return unreadable(place)
