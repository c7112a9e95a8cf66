"""Batches, one after the other: read, assembled, offered until they are settled, counted."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from attrs import define, field

from ..errors import Reject, RetryLater, StreamUnavailableError
from ..events.event import HypervisorEvent
from ..text.error_text import line_of
from .batch import Batch
from .counts import FILTERED, IN_DOUBT
from .ledger import Place, Portion
from .offering import MAX_REFUSED_IN_A_ROW, Outcome
from .outlet import Outlet
from .state import WorkerState

Item = TypeVar("Item")


@define(eq=False)
class Deliverer:
    """Hands batches to one outlet. Whoever calls sees to it that one thread does at a time.

    Attributes:
        state: What the worker knows.
        outlet: Where the batches go.
        call_hook: Calls a hook by its name: ``call_hook(name, function, *arguments)``.
        leaves: Whether a batch is left for the next process: nothing behind it may be
            delivered now.
    """

    state: WorkerState
    outlet: Outlet
    call_hook: Callable[..., None]
    leaves: bool = field(default=False, init=False)

    def deliver_batch(self) -> bool:
        """Deliver one batch; tell whether there was any."""
        state, terms = self.state, self.state.terms
        if self.leaves or (state.wait.waiting and not state.stopping.is_set()):
            return False
        try:
            if not state.restored:
                state.restore()
            if state.sampler is not None:
                state.sampler.leave_out_the_quiet()
                state.count_left_out()
            portion = state.account.read(terms.max_batch_events, terms.max_batch_bytes)
        except StreamUnavailableError as error:
            state.wait.fail()
            state.limited_log.warning(
                "stream", "plugin %s waits, because its stream cannot be read: %s",
                state.name, error,
            )  # fmt: skip
            return False
        state.wait.succeed()
        if not portion.events:
            return False
        try:
            whole = self._deliver(portion)
        except Exception:
            state.account.give_up(IN_DOUBT)  # a mistake of our own: nobody knows
            raise
        if not whole and state.account.defers:
            self.leaves = True
            return False
        state.account.commit(state.to_save)
        return True

    def _deliver(self, portion: Portion) -> bool:
        """Hand what is wanted over until it is settled; tell whether it is."""
        events, wanted = portion.events, self.state.terms.wanted
        if wanted is not None:
            chosen = [event for event in events if wanted(event.event_type.value)]
            portion.drop(len(events) - len(chosen), FILTERED)
            events = chosen
        return not events or self._offer(self._batch_of(portion, events))

    def _batch_of(self, portion: Portion, events: Sequence[HypervisorEvent]) -> Batch:
        terms, assembler, sampler = self.state.terms, self.state.assembler, self.state.sampler
        admitted = [terms.admit(event) for event in events]
        batch = Batch(portion, admitted, [terms.disclose(event) for event in admitted])
        if assembler is not None:
            for place, event in enumerate(admitted[:]):
                try:
                    if sampler is None:
                        batch.spans += [(place, span) for span in assembler.feed(event)]
                        continue
                    ending, chosen = sampler.feed(event)
                    if ending is not None:
                        batch.endings[ending] = place
                    batch.add_held(chosen, place)
                except Exception as error:  # noqa: BLE001 - one odd event costs itself alone
                    batch.refused[place] = error
        batch.note_held()
        return batch

    def _offer(self, batch: Batch) -> bool:
        takes_events, takes_spans = self.outlet.takes_events, self.outlet.takes_spans
        state = self.state
        if takes_events:
            self._offer_all(
                lambda: batch.offer_events(
                    lambda events: self._send("export_events", self.outlet.export_events, events),
                    state.breaker,
                    state.event_size,
                )
            )
        if takes_spans and not batch.unsettled(events=takes_events, spans=False):
            self._offer_all(
                lambda: batch.offer_spans(
                    lambda spans: self._send("export_spans", self.outlet.export_spans, spans),
                    state.breaker,
                    state.span_size,
                )
            )
        unsettled = batch.unsettled(events=takes_events, spans=takes_spans)
        batch.settle(Place.UNPUSHED if self.outlet.takes_metrics else Place.DELIVERED, unsettled)
        state.count_left_out()
        if batch.refused:
            self._tell_refused(batch)
        return not unsettled

    def _offer_all(self, offer: Callable[[], Outcome | None]) -> None:
        """Offer until nothing is left, or a stop ends the waiting."""
        state = self.state
        while (outcome := offer()) is not None:
            if outcome.accepted:
                state.breaker.succeed()
            error = outcome.failure
            if error is None and outcome.accepted:
                continue
            after = error.after if isinstance(error, RetryLater) else None
            seconds = state.breaker.fail(after)
            if error is None and not state.breaker.tripped:
                continue  # refused to the last, and told so below
            self._tell_failure(error)
            if state.stopping.is_set():
                return
            state.wait_before_retry(seconds)

    def _send(
        self, hook: str, export: Callable[[Sequence[Item]], None], items: Sequence[Item]
    ) -> None:
        stats = self.state.stats
        start = time.monotonic()
        try:
            self.call_hook(hook, export, items)
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
            told.warning("retry", "plugin %s asks to retry: %s", name, said)
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
