"""Plugins that lose events, or time, with the tests in which that shows."""

import http.client
import json
import logging
import queue
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ClassVar

from hypervisor_observability import HypervisorEvent, PluginContext, RetryLater, hookimpl
from tests.kit.broken_hooks import fails
from tests.kit.post_plugin import PostPlugin

REFUSED = "far_end_that_refuses_connections_is_tried_again_later"
SILENT = "far_end_that_never_answers_is_tried_again_later"
DRIPPING = "far_end_that_answers_byte_by_byte_is_tried_again_later"
CLOSED = "far_end_that_closes_without_an_answer_is_tried_again_later"
ERROR = "far_end_with_an_error_of_its_own_is_tried_again_later"
BUSY = "far_end_that_asks_to_wait_is_given_that_time"
UNNAMED = "name_that_no_name_server_answers_is_tried_again_later"
BACK = "events_wait_until_the_far_end_is_back"
STOP = "stop_is_in_time_while_the_far_end_hangs"
BAD = "one_bad_event_among_300_is_rejected_alone"
AGAIN = "batch_that_is_offered_again_arrives"
LARGE = "large_batch_arrives_whole"
TWO = "two_at_once_do_not_disturb_each_other"
FORK = "fork_harms_neither_process"
RESTART = "plugin_starts_again_after_its_stop"
LEFT = "nothing_is_left_after_stop"
HOSTILE = "hostile_names_arrive"
BARE = "event_of_any_type_that_says_nothing_else_is_taken"
ELSEWHERE = "far_end_that_redirects_has_not_taken_the_batch"


@fails(REFUSED, SILENT, DRIPPING, CLOSED, ERROR, BUSY, ELSEWHERE, UNNAMED, BACK, BAD)
class SwallowsErrors(PostPlugin):
    def post(self, body: bytes) -> None:
        with suppress(Exception):
            super().post(body)


@fails(REFUSED, SILENT, DRIPPING, CLOSED, UNNAMED, BACK)
class RaisesWhatItGets(PostPlugin):
    def post(self, body: bytes) -> None:
        self.judge(*self.answer(body))


@fails(REFUSED, SILENT, DRIPPING, CLOSED, ERROR, BUSY, ELSEWHERE, UNNAMED, BACK, BAD)
class SendsInTheBackground(PostPlugin):
    """Puts batches into a queue, and returns."""

    waiting: Any = None

    @hookimpl
    def start(self, context: PluginContext) -> None:
        super().start(context)
        self.waiting = queue.Queue()
        self.thread = threading.Thread(target=self.send, daemon=True)
        self.thread.start()

    def send(self) -> None:
        while (body := self.waiting.get()) is not None:
            with suppress(Exception):
                super().post(body)

    def post(self, body: bytes) -> None:
        self.waiting.put(body)

    @hookimpl
    def stop(self) -> None:
        if self.waiting is not None:
            self.waiting.put(None)
            self.thread.join()
        super().stop()


class OwnConnection(PostPlugin):
    """Connects by the standard library's means."""

    seconds: float | None = None

    def answer(self, body: bytes) -> tuple[int, str | None]:
        connection = http.client.HTTPConnection(
            self.config.host, self.config.port, timeout=self.seconds
        )
        try:
            connection.request("POST", "/events", body, self.headers())
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.getheader("Retry-After")
        finally:
            connection.close()


@fails(SILENT, DRIPPING, UNNAMED, STOP)
class HasNoDeadline(OwnConnection):
    pass


@fails(DRIPPING, UNNAMED)
class HasTimeoutOfEachByte(OwnConnection):
    seconds = 2.0


@fails(BUSY)
class IgnoresRetryAfter(PostPlugin):
    def judge(self, status: int, wait: str | None) -> None:
        super().judge(status, None)


@fails(ERROR, BUSY)
class RejectsWhatFails(PostPlugin):
    def judge(self, status: int, wait: str | None) -> None:
        if status >= 300:
            raise ValueError(status)


@fails(BAD)
class RetriesBadRequests(PostPlugin):
    def judge(self, status: int, wait: str | None) -> None:
        if status >= 300:
            raise RetryLater(str(status), after=float(wait) if wait else None)


@fails(BAD)
class IgnoresBadRequests(PostPlugin):
    def judge(self, status: int, wait: str | None) -> None:
        if status != 400:
            super().judge(status, wait)


@fails(BUSY)
class RejectsTooManyRequests(PostPlugin):
    def judge(self, status: int, wait: str | None) -> None:
        super().judge(400 if status == 429 else status, wait)


@fails(ELSEWHERE)
class TakesRedirectForSuccess(PostPlugin):
    def judge(self, status: int, wait: str | None) -> None:
        if status >= 400:
            super().judge(status, wait)


@fails(REFUSED, SILENT, DRIPPING, CLOSED, UNNAMED)
class LogsTracebacks(PostPlugin):
    def answer(self, body: bytes) -> tuple[int, str | None]:
        try:
            return super().answer(body)
        except OSError:
            logging.getLogger("post").exception("not sent")
            raise


@fails(BARE)
class NeedsAnAgent(PostPlugin):
    def body(self, events: Sequence[HypervisorEvent]) -> bytes:
        for event in events:
            assert event.agent_did is not None
        return super().body(events)


@fails(HOSTILE)
class WritesAscii(PostPlugin):
    def body(self, events: Sequence[HypervisorEvent]) -> bytes:
        return "\n".join(f"{event.event_id} {event.agent_did}" for event in events).encode("ascii")


@fails(HOSTILE)
class LeavesOutWhatIsOdd(PostPlugin):
    def body(self, events: Sequence[HypervisorEvent]) -> bytes:
        plain = [one for one in events if (one.agent_did or "").replace(":", "").isalnum()]
        return json.dumps([event.to_dict() for event in plain]).encode()


@fails(LARGE)
class SendsTheFirstThousand(PostPlugin):
    def body(self, events: Sequence[HypervisorEvent]) -> bytes:
        return super().body(events[:1_000])


@fails(BACK, BAD)
class TakesTriedForSent(PostPlugin):
    """Notes that an event was sent before it was."""

    @hookimpl
    def start(self, context: PluginContext) -> None:
        super().start(context)
        self.sent: set[str] = set()

    def body(self, events: Sequence[HypervisorEvent]) -> bytes:
        fresh = [event for event in events if event.event_id not in self.sent]
        self.sent.update(event.event_id for event in fresh)
        return super().body(fresh)


@fails(BACK, AGAIN)
class ConnectsOnce(PostPlugin):
    """Never tries again after a failure."""

    failed = False

    def answer(self, body: bytes) -> tuple[int, str | None]:
        if self.failed:
            raise OSError("not connected")
        try:
            return super().answer(body)
        except OSError:
            self.failed = True
            raise


@fails(REFUSED, UNNAMED)
class NeedsFarEndToStart(PostPlugin):
    @hookimpl
    def start(self, context: PluginContext) -> None:
        super().start(context)
        socket.create_connection((self.config.host, self.config.port), timeout=0.2).close()


@fails(TWO)
class SharesStateByClass(PostPlugin):
    routes: ClassVar[dict[int, Any]] = {}

    @hookimpl
    def start(self, context: PluginContext) -> None:
        super().start(context)
        self.routes[self.config.port] = self._routes

    def answer(self, body: bytes) -> tuple[int, str | None]:
        self._routes = self.routes.get(self.config.port)
        if self._routes is None:
            raise OSError("closed")
        return super().answer(body)

    @hookimpl
    def stop(self) -> None:
        self.routes.pop(self.config.port, None)
        super().stop()


@fails(RESTART, LEFT, TWO)
class IsTheOnlyOne(PostPlugin):
    """Takes something of the process, and never gives it back."""

    taken: ClassVar[set[int]] = set()

    @hookimpl
    def start(self, context: PluginContext) -> None:
        super().start(context)
        if self.config.port in self.taken:
            raise OSError("taken")
        self.taken.add(self.config.port)


@fails(FORK)
class SharesThreads(PostPlugin):
    """Its threads are those of the process that was forked."""

    executor = ThreadPoolExecutor(1)

    def post(self, body: bytes) -> None:
        self.executor.submit(super().post, body).result()


@fails(SILENT, DRIPPING, UNNAMED, STOP)
class WaitsAtTheEnd(PostPlugin):
    """Waits for what came too late."""

    failed = False

    def post(self, body: bytes) -> None:
        try:
            super().post(body)
        except RetryLater as error:
            self.failed = isinstance(error.__cause__, TimeoutError)
            raise

    @hookimpl
    def stop(self) -> None:
        if self.failed:
            threading.Event().wait(30)
        super().stop()
