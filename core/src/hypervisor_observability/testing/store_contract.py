"""What each store must hold, as tests for pytest.

Subclass ``StoreContract`` in a test, and say how your store is made and made unreadable::

    class TestShelfStore(StoreContract):
        def plugin(self, place: Path) -> object:
            return ShelfPlugin(ShelfConfig(directory=place))

        def unreadable(self, place: Path) -> AbstractContextManager[None]:
            return no_answers_of(place)

pytest then finds every test of it. A test that fails says what a user would have lost.
"""

from .following_contract import FollowingContract
from .history_contract import HistoryContract
from .recording_contract import RecordingContract


class StoreContract(RecordingContract, HistoryContract, FollowingContract):
    """All the tests. The store must have all three hooks."""
