"""What every part of the contract of plugins needs: the plugin, its far end, and what arrived."""

import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeAlias
from unittest import SkipTest

from attrs import evolve, frozen

from ..config import Config, DeliveryConfig
from ..delivery.counts import Counts
from ..hookspecs import PluginContext
from ..host.observability import Observability
from ..host.plugin import Plugin
from ..host.plugin_checks import checked
from .plugin_contexts import context_for
from .plugin_samples import FAST, emit, sample_events, sample_metrics, sample_spans
from .receiver import Fault, Receiver

Promise: TypeAlias = Literal["at-most-once", "at-least-once", "exactly-once"]

_DEADLINE = (
    "Give each call one deadline for the look-up, the connection and the whole answer, and raise"
    " RetryLater when it has passed: hypervisor_observability.network.Deadline, or asyncio.timeout"
    " in a coroutine"
)
_ADVICE = {"stop": "Close connections without waiting for answers, and join threads with a timeout"}
_ID = re.compile(r"c0de[0-9a-f]{12}")
_NAME = "contract"


@frozen
class Answer:
    """How a call ended.

    Attributes:
        error: What it raised; None if it returned.
    """

    error: BaseException | None


class PluginTests(ABC):
    """Tests of a plugin that exports, which say how it is made.

    Attributes:
        promise: What the plugin promises of an event. ``at-most-once``: the far end confirms
            nothing, so an event may be lost. ``at-least-once``: it arrives, perhaps twice.
            ``exactly-once``: it arrives, and what is sent again is recognised.
        deadline_seconds: Longest time that one hook call may take, as ``make_plugin`` sets the
            plugin up. Set its timeouts to a second or less: the tests wait for them.
        patience_seconds: How much longer the tests wait before they call it hung.
        flush_seconds: Longest time for a whole test's events to be delivered.
        secrets: Texts that no log, ``repr`` or error may show, beside the ``Secret`` values of the
            plugin's ``config``.
        receiver: What ``make_receiver`` gave, started; None if it gave none.
        directory: An empty folder, for a plugin that writes files.
    """

    promise: Promise = "at-least-once"
    deadline_seconds: float = 2.0
    patience_seconds: float = 8.0
    flush_seconds: float = 60.0
    secrets: Sequence[str] = ()
    receiver: Any = None
    directory: Path

    @abstractmethod
    def make_plugin(self) -> object:
        """Make the plugin, not started. If it sends somewhere, have it send to
        ``self.receiver.host`` and ``self.receiver.port``; read them anew in each call.
        """

    def make_receiver(self) -> Receiver | None:
        """Make the far end, such as an ``HTTPReceiver``, not started; None: there is none."""
        return None

    def settings(self) -> Mapping[str, Any]:
        """Give the keys that the plugin's table must have. The default is an empty table."""
        return {}

    def arrived(self) -> Sequence[str]:
        """Give the ids of the events that have arrived, one for each time that one did.

        The default looks for them in ``self.receiver.texts()``. A plugin without a receiver
        overrides it: ``return self.ids_in(*file.read_text().splitlines())``.

        Raises:
            SkipTest: Nobody has said where to look.
        """
        if self.receiver is None:
            raise SkipTest("override make_receiver() or arrived(): nothing says what has arrived")
        return self.ids_in(*self.receiver.texts())

    def ids_in(self, *texts: str) -> list[str]:
        """Give the ids in *texts*; one that a text holds more than once counts once."""
        return [found for text in texts for found in dict.fromkeys(_ID.findall(text))]

    # What a test needs

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Have a far end and an empty folder until the block is left."""
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="plugin-contract-"))
            self.directory = Path(folder)
            receiver = self.make_receiver()
            self.receiver = receiver and stack.enter_context(receiver)
            try:
                yield
            finally:
                self.receiver = None

    def plugin(self, delivery: DeliveryConfig = FAST) -> Plugin:
        """Make the plugin, and check it as a process does that loads it.

        Raises:
            SkipTest: It is refused, which another test reports.
        """
        try:
            return checked(_NAME, self.make_plugin(), delivery, make=self.make_plugin)
        except ValueError as error:
            raise SkipTest(f"the plugin is refused, see the test of its hooks: {error}") from None

    @contextmanager
    def observed(self, **delivery: Any) -> Iterator[Observability]:
        """Run a process's observability with the plugin."""
        plugin = self.plugin(evolve(FAST, **delivery))
        config = Config(stop_timeout_seconds=self.limit_seconds)
        with Observability(config, plugins=[plugin]) as observability:
            state = observability.states()[_NAME]
            assert state == "running", (
                f"the plugin is {state}: start() raised. Raise RetryLater for what passes by itself"
            )
            yield observability

    def emit(self, observability: Observability, of: Sequence[str], name: str = "") -> None:
        """Emit an event for each id, with the work around it if the plugin takes spans."""
        plugin = self.running(observability)
        emit(observability.bus, of, name, work=plugin.takes_spans or plugin.takes_metrics)

    def running(self, observability: Observability) -> Plugin:
        """Give the plugin of ``observed``."""
        return observability._group.readers[_NAME].plugin

    def counts(self, observability: Observability) -> Counts:
        """Give the accounts of the plugin, which must add up."""
        counts = observability.counts()[_NAME]
        whole = counts.delivered + counts.rejected + counts.dropped_total
        whole += counts.in_flight + counts.pending
        assert counts.emitted == whole, f"the accounts do not add up: {counts}"
        return counts

    def all_delivered(self, observability: Observability, of: Sequence[str]) -> None:
        """Check that everything was delivered, and that all ids *of* it have arrived.

        Raises:
            AssertionError: It was not.
        """
        flushed = observability.flush(timeout=self.flush_seconds)
        counts = self.counts(observability)
        state = observability.states()[_NAME]
        assert not counts.rejected, (
            f"{counts.rejected} of {counts.emitted} events were rejected: an export hook raised"
            " something other than RetryLater for them. Raise RetryLater while the far end is away,"
            " and take every event, whatever its names and payload hold. The log of this test has"
            " the traceback"
        )
        open_ = counts.in_flight + counts.dropped_total
        assert flushed or not open_, (
            f"{open_} of {counts.emitted} events were handed over and never confirmed ({state}):"
            f" return from each hook within {self.deadline_seconds:g} s. The log of this test says"
            " which one did not"
        )
        assert flushed, (
            f"not all events were delivered within {self.flush_seconds:g} s: {state}, {counts}"
        )
        self.have_arrived(of)

    def have_arrived(self, of: Sequence[str]) -> None:
        """Wait until the ids have arrived: all, or any if the plugin may lose some.

        Raises:
            AssertionError: They have not.
        """
        lossy = self.promise == "at-most-once"

        def missing() -> set[str]:
            arrived = set(self.arrived())
            return set() if lossy and arrived.intersection(of) else set(of) - arrived

        self.wait(lambda: not missing())
        lost = sorted(missing())
        assert not lost, (
            f"{len(lost)} of {len(of)} events count as delivered, and have not arrived"
            f" (first: {lost[0]}). Return from an export hook when the far end has confirmed the"
            " batch, not before; raise RetryLater if it has not"
        )

    def wait(self, until: Callable[[], object]) -> None:
        """Wait until something is true, or for ``patience_seconds``; the caller checks it."""
        deadline = time.monotonic() + self.patience_seconds
        while not until() and time.monotonic() < deadline:
            time.sleep(0.01)

    # One call

    @property
    def limit_seconds(self) -> float:
        """When a call counts as hung."""
        return self.deadline_seconds + self.patience_seconds

    def context(self) -> PluginContext:
        """Give what ``start`` gets."""
        return context_for(_NAME)

    def hooks(self, plugin: Plugin, of: Sequence[str]) -> dict[str, Callable[[], None]]:
        """Give a call of each export hook that the plugin has, with something for each id."""
        calls: dict[str, Callable[[], None]] = {}
        if plugin.takes_events:
            calls["export_events"] = lambda: plugin.export_events(sample_events(of))
        if plugin.takes_spans:
            calls["export_spans"] = lambda: plugin.export_spans(sample_spans(of))
        if plugin.takes_metrics:
            calls["export_metrics"] = lambda: plugin.export_metrics(sample_metrics(of))
        return calls

    def call(self, hook: str, function: Callable[[], object], when: str = "") -> Answer:
        """Call a hook in a thread of its own, and tell how it ended.

        Raises:
            AssertionError: It hangs.
        """
        answers: list[Answer] = []

        def run() -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - whatever a plugin raises
                answers.append(Answer(error))
            else:
                answers.append(Answer(None))

        thread = threading.Thread(target=run, name="plugin-contract", daemon=True)
        thread.start()
        thread.join(self.limit_seconds)
        advice = _ADVICE.get(hook, _DEADLINE)
        assert answers, f"{hook} still runs after {self.limit_seconds:g} s{when}. {advice}"
        return answers[0]

    def needs(self, *faults: Fault) -> Receiver:
        """Leave out a test whose far end has none of these faults.

        Raises:
            SkipTest: There is no receiver, or it lacks them.
        """
        if self.receiver is None:
            raise SkipTest("override make_receiver() to test what happens if the far end fails")
        if not self.receiver.faults.intersection(faults):
            raise SkipTest(f"{type(self.receiver).__name__} has no {faults[0]}")
        return self.receiver  # type: ignore[no-any-return]  # Any for authors, who know its class
