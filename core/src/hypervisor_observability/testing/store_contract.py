"""What each store must hold, as tests for pytest.

Subclass ``StoreContract`` in a test, and say how your store is made and made unreadable::

    class TestShelfStore(StoreContract):
        def plugin(self, place: Path) -> object:
            return ShelfPlugin(ShelfConfig(directory=place))

        def unreadable(self, place: Path) -> AbstractContextManager[None]:
            return no_answers_of(place)

If several agents share your store, subclass ``SharedStoreContract`` and say how an agent is cut
off from it.

pytest then finds every test of it. A test that fails says what a user would have lost.
"""

from .following_contract import FollowingContract, OneAgentContract
from .history_contract import HistoryContract
from .recording_contract import RecordingContract
from .sharing_contract import SharingContract


class StoreContract(RecordingContract, HistoryContract, FollowingContract, OneAgentContract):
    """All the tests. The store must have all three hooks."""


class SharedStoreContract(RecordingContract, HistoryContract, FollowingContract, SharingContract):
    """All the tests of a store that several agents share: its streams are ``SharedStream``."""
