"""One batch after the other: read, given its spans, offered until it is settled, saved."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from attrs import define, field

from ..errors import Reject, RetryLater, StreamUnavailableError
from ..text.error_text import line_of
from .batch import Batch
from .counts import IN_DOUBT, STOPPED
from .hook_calls import RETRY, AbandonedError, HookCalls
from .ledger import Place
from .offering import MAX_REFUSED_IN_A_ROW, Offering, OfferSize
from .state import WorkerState

Item = TypeVar("Item")


@define(eq=False)
class Deliverer:
    """Hands batches to one outlet. Whoever calls sees to it that one thread does at a time.

    Attributes:
        state: What the worker knows.
        calls: The calls to the outlet.
        leaves: Whether a batch is left for the next process: nothing behind it may be
            delivered now.
    """

    state: WorkerState
    calls: HookCalls
    leaves: bool = field(default=False, init=False)

    def deliver_batch(self) -> bool:
        """Deliver one batch; tell whether there was any."""
        state = self.state
        if self.leaves or (state.wait.waiting and not state.stopping.is_set()):
            return False
        before = state.account.position
        batch = self._read()
        if batch is None:
            return False
        if not batch.events:  # perhaps it has passed over a gap, of which there may be many
            return before < state.account.position < state.account.end
        try:
            whole = self._deliver(batch)
        except AbandonedError:
            raise  # whoever gave the outlet up has counted what it had
        except BaseException:
            batch.give_up(IN_DOUBT)  # a mistake of our own, or Ctrl-C: nobody knows
            raise
        if not whole and state.account.defers:
            self.leaves = True
            return False
        state.account.commit(state.to_save)
        return True

    def take_parts(self) -> bool:
        """Restore what was saved of each part that is new here; False while it cannot be read."""
        state = self.state
        if state.wait.waiting and not state.stopping.is_set():
            return False
        try:
            state.take_parts()
        except StreamUnavailableError as error:
            self._wait(error)
            return False
        return True

    def _read(self) -> Batch | None:
        """Read on; None if the stream cannot be read at present."""
        state, terms = self.state, self.state.terms
        try:
            state.take_parts()
            state.spans.leave_out_the_quiet()
            batch = state.account.read(terms.max_batch_events, terms.max_batch_bytes)
        except StreamUnavailableError as error:
            self._wait(error)
            return None
        state.wait.succeed()
        return batch

    def _wait(self, error: StreamUnavailableError) -> None:
        self.state.wait.fail()
        self.state.limited_log.warning(
            "stream", "plugin %s waits, because its stream cannot be read: %s",
            self.state.name, error,
        )  # fmt: skip

    def _deliver(self, batch: Batch) -> bool:
        """Hand what is wanted over until it is settled; tell whether it is."""
        state, terms, outlet = self.state, self.state.terms, self.calls.outlet
        if terms.wanted is not None:
            batch.choose(terms.wanted)
        if not batch.events:
            return True
        batch.admit(terms.admit)
        if outlet.takes_events:
            batch.disclose(terms.disclose)
        state.spans.feed(batch)
        events, spans = batch.event_offering, batch.span_offering
        if self._offer(events, state.event_size, "export_events", outlet.export_events):
            # Not before: spans that an event ended wait with it for the next process.
            self._offer(spans, state.span_size, "export_spans", outlet.export_spans)
        accepted = Place.UNPUSHED if outlet.takes_metrics else Place.DELIVERED
        whole = batch.settle(accepted, state.account.left_as(STOPPED))
        state.spans.count_left_out()
        if batch.refused:
            self._tell_refused(batch)
        return whole

    def _offer(
        self,
        offering: Offering[Item],
        size: OfferSize,
        hook: str,
        export: Callable[[Sequence[Item]], None],
    ) -> bool:
        """Offer until nothing is left, or a stop ends the waiting; tell whether nothing is left."""
        state, breaker = self.state, self.state.breaker
        send = partial(self._send, hook, export)
        while offering.left():
            before = offering.accepted
            error = offering.offer(send, size, 1 if breaker.tripped else None)
            accepted = offering.accepted > before
            if accepted:
                breaker.succeed()
            if error is None and accepted:
                continue
            seconds = breaker.fail(error.after if isinstance(error, RetryLater) else None)
            if error is None and not breaker.tripped:
                continue  # refused to the last, and told so below
            self._tell_failure(error)
            if state.stopping.is_set():
                return False
            state.wait_before_retry(seconds)
        return True

    def _send(
        self, hook: str, export: Callable[[Sequence[Item]], None], items: Sequence[Item]
    ) -> None:
        stats = self.state.stats
        start = time.monotonic()
        try:
            self.calls.call(hook, export, items)
        except RetryLater:
            stats.retried += 1
            raise
        except Exception:
            stats.refused += 1
            raise
        else:
            stats.accepted += 1
        finally:
            stats.took(time.monotonic() - start)

    def _tell_failure(self, error: Exception | None) -> None:
        told, name, breaker = self.state.limited_log, self.state.name, self.state.breaker
        said: Any = error if isinstance(error, RetryLater | Reject) else error and line_of(error)
        if breaker.tripped:
            told.warning(
                "breaker",
                "plugin %s: nothing was accepted %d times in a row; now one event at a time"
                " tries whether the backend is back: %s",
                name,
                breaker.failures,
                said or "refused",
            )
        elif isinstance(error, RetryLater):
            told.warning(RETRY, "plugin %s asks to retry: %s", name, said)
        else:
            told.warning(
                "refusals",
                "plugin %s refused events alone %d times in a row, so the others wait: %s",
                name,
                MAX_REFUSED_IN_A_ROW,
                said,
            )

    def _tell_refused(self, batch: Batch) -> None:
        letters = self.state.terms.dead_letters
        if letters is not None:
            for place, error in batch.refused.items():
                letters.write(batch.events[place], line_of(error))
        error = next(iter(batch.refused.values()))
        self.state.limited_log.warning(
            "reject",
            "plugin %s refused %d events: %s",
            self.state.name,
            len(batch.refused),
            error,
            error=None if isinstance(error, Reject) else error,
        )
