"""The far end fails: calls end in time, and events wait for it."""

from typing import Any

from ..errors import RetryLater
from ..text.error_text import line_of
from .listening import listening
from .plugin_samples import ids
from .plugin_tests import PluginTests
from .receiver import Fault


class AwayContract(PluginTests):
    """Tests of what the plugin does while the far end fails."""

    def test_far_end_that_refuses_connections_is_tried_again_later(self) -> None:
        """``RetryLater``, within the deadline."""
        self._retries(Fault.REFUSED)

    def test_far_end_that_never_answers_is_tried_again_later(self) -> None:
        """``RetryLater``, within the deadline."""
        self._retries(Fault.SILENT)

    def test_far_end_that_answers_byte_by_byte_is_tried_again_later(self) -> None:
        """``RetryLater``, within the deadline: each byte starts a socket's timeout again."""
        self._retries(Fault.DRIPPING)

    def test_far_end_that_closes_without_an_answer_is_tried_again_later(self) -> None:
        """``RetryLater``: the batch may have arrived or not."""
        self._retries(Fault.UNANSWERED)

    def test_far_end_with_an_error_of_its_own_is_tried_again_later(self) -> None:
        """``RetryLater``: the event is not at fault."""
        self._retries(Fault.ERROR)

    def test_far_end_that_asks_to_wait_is_given_that_time(self) -> None:
        """``RetryLater(after=...)`` with the seconds of ``Retry-After``, which 429 and 503 have."""
        for status in (429, 503):
            self._retries(Fault.BUSY, busy_status=status)

    def test_far_end_that_redirects_has_not_taken_the_batch(self) -> None:
        """What answers instead, such as a login, knows nothing of the batch."""
        with self.prepared():
            receiver = self.needs(Fault.REDIRECTED)
            with receiver.failing(Fault.REDIRECTED):
                plugin = self.plugin()
                if self.call("start", lambda: plugin.start(self.context())).error is None:
                    for hook, call in self.hooks(plugin, ids(3, group=7)).items():
                        assert self.call(hook, call).error is not None, (
                            f"{hook} returned while the far end {Fault.REDIRECTED.value}, so its"
                            " events count as delivered: follow no redirect, and raise Reject or"
                            " RetryLater for any status but 2xx"
                        )
                self.call("stop", plugin.stop)

    def test_name_that_no_name_server_answers_is_tried_again_later(self) -> None:
        """``RetryLater``, within the deadline: a look-up knows no timeout."""
        self._retries(Fault.UNNAMED)

    def test_events_wait_until_the_far_end_is_back(self) -> None:
        """Nothing is lost while it is away, and the plugin connects again by itself."""
        of = ids(10, group=4)
        with self.prepared():
            receiver = self.needs(Fault.REFUSED)
            with self.observed() as observability:
                self.emit(observability, of[:2])
                self.all_delivered(observability, of[:2])
                with receiver.failing(Fault.REFUSED):
                    self.emit(observability, of[2:8])
                    flushed = observability.flush(timeout=0.3)
                    assert not flushed or self.promise == "at-most-once", (
                        "events count as delivered while nothing listens at the far end: raise"
                        " RetryLater when a request fails"
                    )
                self.emit(observability, of[8:])
                if self.promise == "at-most-once":
                    self.all_delivered(observability, of[8:])
                else:
                    self.all_delivered(observability, of)

    def test_stop_is_in_time_while_the_far_end_hangs(self) -> None:
        """A process ends in time, whatever its backends do."""
        with self.prepared():
            receiver = self.needs(Fault.SILENT)
            with receiver.failing(Fault.SILENT), self.observed() as observability:
                self.emit(observability, ids(3, group=5))
                receiver.wait_for(lambda: receiver.offered, self.patience_seconds)
                answers: list[bool] = []
                seconds = 0.7 * self.limit_seconds
                self.call("stop", lambda: answers.append(observability.stop(seconds)))
                assert answers == [True], (
                    f"the plugin did not end within {seconds:g} s while the far end hangs: give"
                    " each call a deadline, and have stop() close connections, not wait for answers"
                )

    def _retries(self, fault: Fault, **chosen: Any) -> None:
        """Check what each hook does while the far end has a fault, with attributes *chosen*."""
        when = f" while the far end {fault.value}"
        with self.prepared(), listening() as heard:
            receiver = self.needs(fault)
            for name, value in chosen.items():
                setattr(receiver, name, value)
            with receiver.failing(fault):
                plugin = self.plugin()
                error = self.call("start", lambda: plugin.start(self.context()), when).error
                self._check("start", error, when)
                try:
                    if error is None:
                        for hook, call in self.hooks(plugin, ids(3, group=6)).items():
                            error = self.call(hook, call, when).error
                            self._check(hook, error, when)
                            self._check_confirmed(hook, error, when)
                            if fault is Fault.BUSY:
                                self._check_after(hook, error, self.receiver.retry_after_seconds)
                finally:
                    self.call("stop", plugin.stop, when)
            assert not heard.tracebacks, (
                f"an outage fills the log with tracebacks{when}: {heard.tracebacks[0]}. Raise"
                " RetryLater with the reason in a line: the core logs it, at a limited rate"
            )

    def _check(self, hook: str, error: BaseException | None, when: str) -> None:
        said = "" if error is None else line_of(error)
        costs = "the plugin is down for good" if hook == "start" else "events are rejected for good"
        assert error is None or isinstance(error, RetryLater), (
            f"{hook} raised {type(error).__name__}{when}, so {costs}: raise RetryLater from it"
            f" ({said})"
        )

    def _check_confirmed(self, hook: str, error: BaseException | None, when: str) -> None:
        assert error is not None or self.promise == "at-most-once", (
            f"{hook} returned{when}, so its events count as delivered: raise RetryLater unless the"
            " far end has confirmed them"
        )

    def _check_after(self, hook: str, error: BaseException | None, seconds: float) -> None:
        after = getattr(error, "after", None)
        assert (after or 0.0) >= seconds, (
            f"{hook} raised RetryLater(after={after}) where the far end asked for {seconds:g} s:"
            " pass the seconds of Retry-After on, as RetryLater(reason, after=seconds)"
        )
