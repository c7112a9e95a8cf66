"""What a store holds in a process that emits."""

import logging
import os
from pathlib import Path
from typing import Any

from ..bus.event_bus import HypervisorEventBus
from ..config import BusConfig
from ..events.event_types import EventType
from ..host.observability import Observability
from ..stores import StoreContext
from .readers import AwayReader, SpanReader, TakingReader
from .store_tests import (
    NUMBER,
    SHORT_SECONDS,
    WIDE_SECONDS,
    StoreTests,
    config_of,
    emit,
    in_child,
    is_of_test,
    numbers_of,
    of_test,
)


class RecordingContract(StoreTests):
    """What a store holds in a process that emits."""

    def test_events_come_back_as_they_were_in_their_order(self, tmp_path: Path) -> None:
        """What was emitted is what the history gives: ids, times, payloads, places."""
        with self.observed(tmp_path) as observability:
            emitted = [emit(observability.bus, number) for number in range(100)]
            in_log = [event for event in observability.bus.all_events if is_of_test(event)]
        assert in_log == emitted  # once each: appended by whoever records it

        with self.history(tmp_path) as history:
            entries = of_test(history.events())
        assert [entry.event.to_dict() for entry in entries] == [one.to_dict() for one in emitted]
        assert len({entry.run for entry in entries}) == 1
        numbers = [entry.sequence for entry in entries]
        assert numbers == sorted(set(numbers))

    def test_what_was_emitted_before_the_start_is_recorded_too(self, tmp_path: Path) -> None:
        """The log in memory may hold events when recording begins."""
        observability = Observability(config_of(), plugins=[self.plugin(tmp_path)])
        early = [emit(observability.bus, number) for number in range(5)]
        with observability:
            late = emit(observability.bus, 5)

        with self.history(tmp_path) as history:
            entries = of_test(history.events())
        assert [entry.event for entry in entries] == [*early, late]

    def test_sync_says_yes_for_what_was_recorded(self, tmp_path: Path) -> None:
        """``bus.sync()`` is the application's question whether its events are safe."""
        with self.observed(tmp_path) as observability:
            emit(observability.bus, 1)
            assert observability.bus.sync()

    def test_child_of_a_fork_keeps_its_events_apart(self, tmp_path: Path) -> None:
        """Both go on: none of the child's is in the parent's run, and none of either is twice."""
        if not hasattr(os, "fork"):
            return
        with self.observed(tmp_path) as observability:
            emit(observability.bus, 0)

            def child() -> bool:
                emit(observability.bus, 100)
                return observability.bus.sync() and observability.stop()

            assert in_child(child)
            emit(observability.bus, 1)
            assert observability.bus.sync()

        with self.history(tmp_path) as history:
            by_run: dict[str, list[Any]] = {}
            for entry in of_test(history.events()):
                by_run.setdefault(entry.run, []).append(entry.event.payload[NUMBER])
        # What only lives in a process is gone with the child.
        assert sorted(by_run.values()) in ([[0, 1]], [[0, 1], [100]])

    def test_opening_alone_leaves_nothing_behind(self, tmp_path: Path) -> None:
        """``open_store`` is asked when a configuration is checked: it begins nothing."""
        place = tmp_path / "fresh"
        bus = HypervisorEventBus()
        plugin: Any = self.plugin(place)
        plugin.open_store(
            StoreContext(
                name="store", service="tests", logger=logging.getLogger(__name__), log=bus.log,
                admit=lambda event: event, announce=lambda *_: None,
            )
        )  # fmt: skip
        assert not place.exists()

    # Delivery

    def test_next_process_gets_what_this_one_could_not_deliver(self, tmp_path: Path) -> None:
        """A backend was away to the end: nothing is lost, nothing comes twice."""
        with self.observed(tmp_path, AwayReader()) as first:
            emitted = [emit(first.bus, number) for number in range(20)]
        left = first.counts()["reader"]
        assert left.delivered == 0
        assert left.dropped_total == left.emitted  # all deferred

        reader = TakingReader()
        with self.observed(tmp_path, reader) as second:
            emitted.append(emit(second.bus, 20))
            assert second.flush(WIDE_SECONDS)
            counts = second.counts()["reader"]
        assert numbers_of(reader.events) == list(range(21))
        assert counts.emitted == counts.delivered + counts.dropped_total

    def test_next_process_gets_no_event_that_was_delivered(self, tmp_path: Path) -> None:
        """A reader goes on behind what its backend has."""
        first_reader, second_reader = TakingReader(), TakingReader()
        with self.observed(tmp_path, first_reader) as first:
            for number in range(20):
                emit(first.bus, number)
            assert first.flush(WIDE_SECONDS)
        with self.observed(tmp_path, second_reader) as second:
            emit(second.bus, 20)
            assert second.flush(WIDE_SECONDS)

        assert numbers_of([*first_reader.events, *second_reader.events]) == list(range(21))

    def test_reader_gets_what_memory_has_given_up(self, tmp_path: Path) -> None:
        """The log in memory is bounded; behind it stands the store."""
        reader = TakingReader(held=True)
        config = config_of(bus=BusConfig(max_events=50))
        with self.observed(tmp_path, reader, config=config) as observability:
            for number in range(2_000):
                emit(observability.bus, number)
            reader.release()
            assert observability.flush(WIDE_SECONDS)
            assert observability.counts()["reader"].dropped == {}
        assert numbers_of(reader.events) == list(range(2_000))

    def test_reads_that_fail_for_a_while_lose_nothing(self, tmp_path: Path) -> None:
        """A failed read says "wait": it is never an empty log, a gap or an end."""
        reader = TakingReader(held=True)
        config = config_of(bus=BusConfig(max_events=50))
        with self.observed(tmp_path, reader, config=config) as observability:
            with self.unreadable(tmp_path):
                for number in range(2_000):
                    emit(observability.bus, number)
                reader.release()
                observability.flush(SHORT_SECONDS)
                assert observability.counts()["reader"].dropped == {}
            assert observability.flush(WIDE_SECONDS)
            assert observability.counts()["reader"].dropped == {}
        assert numbers_of(reader.events) == list(range(2_000))

    def test_span_that_two_processes_share_is_one(self, tmp_path: Path) -> None:
        """What a reader holds is saved with its position: here, a span that is open."""
        first_reader, second_reader = SpanReader(), SpanReader()
        with self.observed(tmp_path, first_reader) as first:
            begun = first.bus.record(
                EventType.SAGA_CREATED, session_id="s", payload={"saga_id": "one"}
            )
            assert first.flush(WIDE_SECONDS)
        with self.observed(tmp_path, second_reader) as second:
            second.bus.record(EventType.SAGA_COMPLETED, payload={"saga_id": "one"})
            assert second.flush(WIDE_SECONDS)

        assert first_reader.spans == []
        (span,) = second_reader.spans
        assert span.scope == "saga"
        assert span.start_ns == begun.timestamp_ns
