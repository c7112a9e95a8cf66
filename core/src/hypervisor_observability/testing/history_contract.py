"""What a store tells of the past."""

from pathlib import Path
from unittest import SkipTest

from ..errors import NoHistoryError
from ..events.event_types import EventType
from ..stores import EVERYTHING, Entry, Wanted, describe
from .store_tests import StoreTests, emit, numbers_of, of_test, until


class HistoryContract(StoreTests):
    """What a store tells of the past."""

    def test_history_gives_what_is_wanted_and_no_other(self, tmp_path: Path) -> None:
        """By type, session, agent, trace and time; the newest so many; in either order."""
        with self.observed(tmp_path) as observability:
            emitted = [emit(observability.bus, number) for number in range(60)]
        wanted = [
            Wanted(agent_did="did:agent:1"),
            Wanted(session_id="session-2"),
            Wanted(event_type=EventType.VFS_WRITE.value),
            Wanted(event_type="no.such_type"),
            Wanted(since_ns=emitted[20].timestamp_ns, until_ns=emitted[39].timestamp_ns),
            Wanted(agent_did="did:agent:1", since_ns=emitted[30].timestamp_ns),
        ]
        for one in wanted:
            right = [event for event in emitted if one.covers(event)]
            for limit in (None, 0, 1, 7, 1_000):
                newest = right if limit is None else right[max(0, len(right) - limit) :]
                with self.history(tmp_path) as history:
                    found = of_test(history.events(one, limit=limit))
                    turned = of_test(history.events(one, limit=limit, newest_first=True))
                assert [entry.event for entry in found] == newest
                assert [entry.event for entry in turned] == newest[::-1]

    def test_history_knows_the_runs(self, tmp_path: Path) -> None:
        """A run is what one process records; each is named, and can be asked for alone."""
        for number in range(3):
            with self.observed(tmp_path) as observability:
                emit(observability.bus, number)
        with self.history(tmp_path) as history:
            runs = list(history.runs())
            assert len(set(runs)) == 3
            found = [of_test(history.events(runs=[run])) for run in runs]
        assert [numbers_of([entry.event for entry in some]) for some in found] == [[0], [1], [2]]

    def test_history_tells_of_itself_what_holds(self, tmp_path: Path) -> None:
        """How many runs and events there are, and which processes record now.

        Raises:
            SkipTest: It does not tell of itself, as it need not.
        """
        with self.observed(tmp_path) as observability:
            for number in range(5):
                emit(observability.bus, number)
            observability.bus.sync()
            assert until(lambda: self._events_in(tmp_path) >= 5)
            with self.history(tmp_path) as history:
                living = describe(history)
                (run,) = history.runs()
        with self.history(tmp_path) as history:
            ended = describe(history)
            total = sum(1 for _ in history.events())
        if living is None or ended is None:
            raise SkipTest("the history does not tell of itself: it has no describe()")
        assert living.living is None or list(living.living) == [run]
        assert not ended.living
        assert (living.runs, ended.runs) == (1, 1)
        assert living.events is None or living.events >= 5
        assert ended.events in (None, total)
        assert not living.problems
        with self.unreadable(tmp_path):
            try:
                with self.history(tmp_path) as history:
                    describe(history)
            except OSError:
                pass  # opening it may fail, too

    def test_what_cannot_be_read_is_told(self, tmp_path: Path) -> None:
        """An answer that is not whole must not look like one that is."""
        with self.observed(tmp_path) as observability:
            for number in range(10):
                emit(observability.bus, number)
        notices: list[str] = []
        with self.unreadable(tmp_path):
            try:
                with self.history(tmp_path, notices) as history:
                    found = of_test(history.events())
            except (OSError, NoHistoryError) as error:
                notices.append(str(error))
                found = []
        assert notices or len(found) == 10

    def test_follower_gives_what_comes(self, tmp_path: Path) -> None:
        """First the newest of what was there, then everything that is recorded from then on."""
        with self.observed(tmp_path) as observability:
            for number in range(5):
                emit(observability.bus, number)
            observability.bus.sync()
            assert until(lambda: self._events_in(tmp_path) >= 5)
            with self.history(tmp_path) as history:
                follower = history.follow()
                before = of_test(follower.newest(EVERYTHING, 1_000))
                assert numbers_of([entry.event for entry in before]) == list(range(5))
                for number in range(5, 10):
                    emit(observability.bus, number)
                observability.bus.sync()
                after: list[Entry] = []

                def all_came() -> bool:
                    after.extend(of_test(follower.news()))
                    return len(after) >= 5

                assert until(all_came)
        assert numbers_of([entry.event for entry in after]) == list(range(5, 10))

    def _events_in(self, place: Path) -> int:
        try:
            with self.history(place, []) as history:
                return len(of_test(history.events()))
        except NoHistoryError:
            return 0
