"""The event loop of one plugin, for hooks that are coroutine functions.

It runs in a thread of its own from the first such call until the plugin has stopped, also
between calls: so a plugin's connections answer pings, and its background tasks go on.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from attrs import define, field

from ..errors import RetryLater

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_CLOSING_SECONDS = 5.0


@define(eq=False)
class _Call:
    coroutine: Coroutine[Any, Any, object]
    done: threading.Event = field(factory=threading.Event)
    task: "asyncio.Task[None] | None" = None
    result: object = None
    error: BaseException | None = None
    late: bool = False

    async def run(self) -> None:
        # Whatever is raised belongs to whoever called the hook: SystemExit must not end the loop.
        try:
            self.result = await self.coroutine
        except BaseException as error:  # noqa: BLE001 - see above
            self.error = error
        finally:
            self.done.set()


class _DaemonExecutor(ThreadPoolExecutor):
    """Runs each call in a daemon thread of its own, for ``asyncio.to_thread`` and for look-ups.

    The process's end waits for every thread of a usual executor, also for one that hangs.
    """

    def __init__(self, own_threads: set[int]) -> None:
        super().__init__()
        self._own_threads = own_threads

    def submit(
        self,
        fn: Callable[_Arguments, _Result],
        /,
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> Future[_Result]:
        future: Future[_Result] = Future()

        def work() -> None:
            ident = threading.get_ident()
            self._own_threads.add(ident)
            try:
                if future.set_running_or_notify_cancel():
                    future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                future.set_exception(error)
            finally:
                self._own_threads.discard(ident)

        threading.Thread(target=work, name="hvobs-call", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as the base has it
        """Wait for nobody."""


@define(eq=False)
class HookLoop:
    """Runs coroutines, one at a time, for a thread that waits for each.

    Attributes:
        name: Of the plugin.
        own_threads: Gets the identifier of the loop's thread.
    """

    name: str = "plugin"
    own_threads: set[int] = field(factory=set)
    _process: int = field(default=0, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _ready: threading.Event = field(factory=threading.Event, init=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)
    _ending: "asyncio.Event | None" = field(default=None, init=False)
    _call: _Call | None = field(default=None, init=False)

    @property
    def hung(self) -> bool:
        """Whether a call was given up at its deadline: nothing is to be called here again."""
        return self._call is not None and self._call.late

    def run(
        self,
        hook: str,
        coroutine: Coroutine[Any, Any, object],
        timeout_seconds: float | None = None,
    ) -> object:
        """Run *coroutine* in the loop, and wait for it.

        Args:
            hook: What the hook is called.
            coroutine: What it gave.
            timeout_seconds: After this it is cancelled; None: never.

        Raises:
            TimeoutError: It took longer.
            RetryLater: The system refuses a thread.
            BaseException: What the coroutine raises.
        """
        call = _Call(coroutine)
        try:
            loop = self._running()
        except RuntimeError as error:
            coroutine.close()
            raise RetryLater(str(error)) from error
        self._call = call
        loop.call_soon_threadsafe(self._begin, call)
        if not call.done.wait(timeout_seconds):
            call.late = True
            self.cancel()
            raise TimeoutError(f"{hook} has not returned within {timeout_seconds:g} s")
        self._call = None
        if call.error is not None:
            raise call.error
        return call.result

    def cancel(self) -> None:
        """Cancel what runs, if anything does. May be called from any thread."""
        call, loop = self._call, self._loop
        if call is None or loop is None or self._process != os.getpid():
            return
        try:
            loop.call_soon_threadsafe(lambda: call.task and call.task.cancel())
        except RuntimeError:
            pass  # it has ended meanwhile

    def close(self, *, wait: bool = True) -> None:
        """End the loop: what is left in it is cancelled."""
        thread, loop, ending = self._thread, self._loop, self._ending
        self._thread = None
        if thread is None or loop is None or ending is None or self._process != os.getpid():
            return
        try:
            loop.call_soon_threadsafe(ending.set)
        except RuntimeError:
            return
        if wait:
            thread.join(_CLOSING_SECONDS)

    @staticmethod
    def _begin(call: _Call) -> None:
        call.task = asyncio.get_running_loop().create_task(call.run())

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._thread is None or self._process != os.getpid():
            # The first call, or the first in a fork's child: the parent's thread is not here.
            self._process, self._ready, self._loop = os.getpid(), threading.Event(), None
            thread = threading.Thread(
                target=self._serve, name=f"hvobs-{self.name}-loop", daemon=True
            )
            thread.start()
            self._thread = thread
        self._ready.wait()
        if self._loop is None:
            raise RuntimeError("no event loop can be had")
        return self._loop

    def _serve(self) -> None:
        ident = threading.get_ident()
        self.own_threads.add(ident)
        ready = self._ready
        try:
            with asyncio.Runner() as runner:
                runner.run(self._until_closed(ready))
        finally:
            ready.set()
            self.own_threads.discard(ident)

    async def _until_closed(self, ready: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(_DaemonExecutor(self.own_threads))
        self._loop, self._ending = loop, asyncio.Event()
        ending = self._ending
        ready.set()
        await ending.wait()
