"""Events arrive, whatever they hold and however many there are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import SkipTest

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..host.plugin import Plugin
from .http_receiver import HTTPReceiver
from .plugin_samples import HOSTILE, ids
from .plugin_tests import PluginTests
from .receiver import Fault

_MANY = 2_000


class DeliveryContract(PluginTests):
    """Tests of what arrives while the far end works."""

    def test_events_arrive_and_the_accounts_add_up(self) -> None:
        """Each event that counts as delivered is at the far end."""
        with self.prepared(), self.observed() as observability:
            self.emit(observability, ids(20))
            self.all_delivered(observability, ids(20))

    def test_nothing_to_send_is_no_fault(self) -> None:
        """A process that emits nothing flushes and stops in silence."""
        with self.prepared(), self._started() as plugin:
            error = self.call("flush", plugin.flush).error
            assert error is None, (
                f"flush raised with nothing to send ({error!r}): it is also called before the first"
                " batch"
            )

    def test_event_of_any_type_that_says_nothing_else_is_taken(self) -> None:
        """An event may have no agent, session, trace, parent and payload."""
        with self.prepared(), self.observed() as observability:
            for type_ in EventType:
                observability.bus.emit(HypervisorEvent(event_type=type_))
            observability.flush(timeout=self.limit_seconds)
            counts = self.counts(observability)
            assert counts.delivered == counts.emitted, (
                f"{counts.emitted - counts.delivered} of {counts.emitted} events without agent,"
                " session and payload were not taken: these fields may be None, the payload empty"
            )

    def test_large_batch_arrives_whole(self) -> None:
        """A batch is as large as ``max_batch_events`` allows."""
        many = ids(_MANY, group=1)
        with self.prepared(), self._started() as plugin:
            for hook, call in self.hooks(plugin, many).items():
                error = self.call(hook, call).error
                assert error is None, (
                    f"{hook} raised for a batch of {_MANY}: {error!r}. Split what is too large for"
                    " the far end, or raise Reject, and the batch is halved"
                )
            self.have_arrived(many)

    def test_hostile_names_arrive(self) -> None:
        """Agents name themselves: a name must not make its events, or others, disappear."""
        with self.prepared(), self.observed() as observability:
            for number, name in enumerate(HOSTILE):
                self.emit(observability, ids(1, group=100 + number), name)
            of = [ids(1, group=100 + number)[0] for number in range(len(HOSTILE))]
            self.all_delivered(observability, of)

    def test_batch_that_is_offered_again_arrives(self) -> None:
        """After an answer that was lost, the same batch comes again."""
        batch = ids(5, group=2)
        with self.prepared():
            with self._started() as plugin:
                for hook, call in self.hooks(plugin, batch).items():
                    self._offer_twice(hook, call)
                self.have_arrived(batch)
            if self.promise == "exactly-once":
                arrived = list(self.arrived())
                twice = sorted({one for one in arrived if arrived.count(one) > 1})
                assert not twice, (
                    f"{len(twice)} events arrived twice, and promise is 'exactly-once'. Send a key"
                    " that is the same for the same batch (event_id) and have arrived() drop what"
                    " the far end drops, or set promise = 'at-least-once' and say so in the"
                    " documentation"
                )

    @contextmanager
    def _started(self) -> Iterator[Plugin]:
        """Start the plugin, without a host.

        Raises:
            SkipTest: It has no export hook.
        """
        plugin = self.plugin()
        if plugin.only_exposes:
            raise SkipTest("the plugin has no export hook: nothing is handed to it")
        error = self.call("start", lambda: plugin.start(self.context())).error
        assert error is None, f"start raised {error!r}"
        try:
            yield plugin
        finally:
            self.call("stop", plugin.stop)

    def _offer_twice(self, hook: str, call: Callable[[], None]) -> None:
        lost = self.receiver is not None and Fault.UNANSWERED in self.receiver.faults
        if lost:
            with self.receiver.failing(Fault.UNANSWERED):
                self.call(hook, call)
        for _ in range(1 if lost else 2):
            error = self.call(hook, call).error
            assert error is None, (
                f"{hook} raised when the same batch was offered again: {error!r}. Offer it to the"
                " far end once more: a retry, or a halved batch, repeats events"
            )

    def test_one_bad_event_among_300_is_rejected_alone(self) -> None:
        """The far end refuses what holds one event; the 299 others arrive."""
        of = ids(300, group=3)
        bad, good = of[137], [*of[:137], *of[138:]]
        with self.prepared():
            if not isinstance(self.receiver, HTTPReceiver):
                raise SkipTest("only an HTTPReceiver can refuse a single event")
            self.receiver.refused_text = bad
            with self.observed() as observability:
                self.emit(observability, of)
                observability.flush(timeout=self.flush_seconds)
                counts = self.counts(observability)
                assert counts.rejected, (
                    "the far end answered 400 to one event of 300, and none counts as rejected:"
                    " raise Reject for an answer that will be the same next time"
                )
                assert not counts.pending, f"one bad event of 300 holds up the others: {counts}"
                assert counts.rejected < 10, f"one bad event of 300 took others along: {counts}"
                self.have_arrived(good)
