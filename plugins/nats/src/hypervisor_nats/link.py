"""The connection to the servers: an event loop in a thread of its own, asked by other threads."""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from attrs import define, field
from nats.errors import ConnectionClosedError
from nats.js.client import JetStreamContext

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.connecting import WatchedClient, connect
from hypervisor_nats.reasons import CLIENT_ERRORS, reason
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.threads.forks import Forked

__all__ = ["CLIENT_ERRORS", "Link", "end_tasks"]

Result = TypeVar("Result")

_CLOSE_SECONDS = 1.0
_GRACE_SECONDS = 1.0
"""So much longer than the loop itself a thread waits for it."""
_POLL_SECONDS = 0.02
_LOST_FOR_LONG = 2
"""After so many times ``timeout_seconds`` a client is replaced that has not come back itself."""


@define(eq=False)
class Link:
    """A connection, made with the first call, and again whenever it is lost.

    A call waits for it, as long as it may; one that is over says why. Once closed, it stays so.
    The child of a fork makes its own.

    Attributes:
        config: Where to, and as whom.
        name: Of the client, as the servers show it.
    """

    config: NatsConfig
    name: str
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _client: WatchedClient | None = field(default=None, init=False)
    _connecting: asyncio.Lock | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)
    _heard: tuple[float, Exception] | None = field(default=None, init=False)
    _lost_at: float | None = field(default=None, init=False)
    _failures: int = field(default=0, init=False)
    _inherited: object = field(default=None, init=False)
    _lock: threading.RLock = field(factory=threading.RLock, init=False)

    def __attrs_post_init__(self) -> None:
        """Have the children of forks connect for themselves."""
        _links.add(self)

    @property
    def place(self) -> str:
        """The servers and the stream, for people."""
        return f"{','.join(self.config.servers)} stream {self.config.stream}"

    @property
    def heard(self) -> Exception | None:
        """What the connection that is not there was last heard to fail of."""
        heard = self._heard
        return None if heard is None else heard[1]

    @property
    def is_closed(self) -> bool:
        """Whether it was closed: for good."""
        return self._closed

    @property
    def is_away(self) -> bool:
        """Whether no server could be had, as often as there are servers, since all was well."""
        return self._failures >= len(self.config.servers)

    def call(
        self,
        action: Callable[[JetStreamContext], Awaitable[Result]],
        timeout: float | None = None,
    ) -> Result:
        """Have *action* done in the loop; give what it gives.

        Args:
            action: What to do, with a connection that there is.
            timeout: Seconds, that of the configuration where it is None.

        Raises:
            StreamUnavailableError: No server answers, or it refuses; the text says what to do.
        """

        async def done() -> Result:
            async with asyncio.timeout(seconds):
                return await action((await self.client()).jetstream(timeout=seconds))

        seconds = self.config.timeout_seconds if timeout is None else timeout
        began = time.monotonic()
        try:
            return self.run(done(), seconds + _GRACE_SECONDS)
        except CLIENT_ERRORS as error:
            raise self.unavailable(error, since=began) from error

    def unavailable(self, error: BaseException, *, since: float) -> StreamUnavailableError:
        """Say what an error of the client means, and what would be right.

        Args:
            error: What it raised; where time is over, what was heard meanwhile says more.
            since: Of ``time.monotonic()``, when what failed began.
        """
        if isinstance(error, TimeoutError | asyncio.TimeoutError) and self._heard is not None:
            at, heard = self._heard
            if at >= since or self._lost_at is not None:
                error = heard
        return StreamUnavailableError(self.place, reason(error, self.config))

    def run(self, coroutine: Coroutine[Any, Any, Result], timeout: float) -> Result:
        """Run *coroutine* in the loop, and wait for it; its errors are raised as they are.

        Raises:
            TimeoutError: It took longer than *timeout* seconds.
            ConnectionClosedError: The link is closed, or was so meanwhile.
        """
        try:
            with self._lock:  # else it may come after the end, which ends all that came before it
                loop = self.loop
                future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except ConnectionClosedError:
            coroutine.close()
            raise
        until = time.monotonic() + timeout
        try:
            while not future.done() and time.monotonic() < until:
                concurrent.futures.wait([future], min(_CLOSE_SECONDS, until - time.monotonic()))
                if self._closed and not loop.is_running():
                    break
            return future.result(0)
        except concurrent.futures.CancelledError:
            raise ConnectionClosedError from None
        except TimeoutError:
            if self._closed and not future.done():  # the loop had no time to end it
                raise ConnectionClosedError from None
            raise
        finally:
            if not loop.is_closed():
                future.cancel()  # no effect if it is done

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop; its thread is started when it is first asked for.

        Raises:
            ConnectionClosedError: The link is closed.
        """
        with self._lock:
            if self._closed:
                raise ConnectionClosedError
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name=f"hvobs-{self.name}", daemon=True
                )
                self._thread.start()
            return self._loop

    async def client(self) -> WatchedClient:
        """Give a client that is connected, in the loop. One that was closed is replaced: its
        subscriptions are gone.

        Raises:
            NatsError: No server answers, or it refuses, or the link is closed.
            OSError: The same.
        """
        if self._closed:
            raise ConnectionClosedError
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            while True:
                client = self._client
                if client is None or client.is_closed:
                    self._client = client = await connect(self.config, self.name, self._hear)
                if client.is_connected:
                    return client
                patience = _LOST_FOR_LONG * self.config.timeout_seconds
                if self._lost_at is None or time.monotonic() - self._lost_at < patience:
                    await asyncio.sleep(_POLL_SECONDS)
                else:
                    await _end(client)

    def _hear(self, error: Exception | None) -> None:
        """Note how the connection is: what is wrong, or that all is well."""
        if error is None:
            self._heard = self._lost_at = None
            self._failures = 0
            return
        self._failures += 1
        self._heard = time.monotonic(), error
        client = self._client
        if self._lost_at is None and (client is None or not client.is_connected):
            self._lost_at = self._heard[0]

    def close(self) -> None:
        """End the connection, whoever waits for an answer, and the thread. What is still to be
        sent is sent, if it can be in a second.
        """
        with self._lock:
            loop, thread, client = self._loop, self._thread, self._client
            self._loop = self._thread = self._client = self._connecting = None
            self._closed = True
        if loop is None or thread is None:
            return
        ending = asyncio.run_coroutine_threadsafe(_end_all(client), loop)
        with contextlib.suppress(TimeoutError):
            ending.result(2 * _CLOSE_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CLOSE_SECONDS)
        if thread.is_alive():
            return
        if not ending.done():  # something has held up the loop: what is left of it ends here
            ending.add_done_callback(lambda _: loop.call_soon(loop.stop))
            loop.call_later(2 * _CLOSE_SECONDS, loop.stop)
            with contextlib.suppress(RuntimeError):  # this thread runs another loop
                loop.run_forever()
        loop.close()

    def begin_anew_after_fork(self) -> None:
        """Forget the connection, in a fork's child: it is the parent's, and is not to be closed."""
        self._inherited = self._loop, self._thread, self._client
        self._loop = self._thread = self._client = self._connecting = None
        self._heard = self._lost_at = None
        self._failures = 0
        self._lock = threading.RLock()


async def _end_all(client: WatchedClient | None) -> None:
    """End the client, and everything else that runs in the loop."""
    if client is not None:
        await _end(client)
    await end_tasks(asyncio.all_tasks() - {asyncio.current_task()}, _CLOSE_SECONDS / 2)


async def end_tasks(tasks: "Iterable[asyncio.Task[Any] | None]", seconds: float) -> None:
    """Cancel tasks until they have ended, for *seconds* at most.

    Once is not enough: in Python 3.11, ``wait_for`` swallows a cancellation if what it waits for
    ends at that moment.
    """
    left, until = {task for task in tasks if task is not None}, time.monotonic() + seconds
    while left and time.monotonic() < until:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=seconds / 10)


async def _end(client: WatchedClient) -> None:
    """Close the client; leave it after a second, whatever it makes of that."""
    closing = asyncio.ensure_future(client.close())
    closing.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)  # does not wait for its cancellation
    closing.cancel()


_links = Forked(Link.begin_anew_after_fork)
