"""What is recorded of calls: where each stands, and how it ends."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import time_ns
from typing import Any

from attrs import define, field

from hypervisor_langchain.calls import Call, Calls, Recorded, key_of
from hypervisor_langchain.content import plain_content
from hypervisor_langchain.framework import call_around
from hypervisor_langchain.handoffs import signal_of
from hypervisor_observability import SourceContext
from hypervisor_observability.recorder import HERE, Recorder

_CANCELLED = {"status": "cancelled", "reason": "cancelled"}
_TOLD = (Exception, asyncio.CancelledError, GeneratorExit)


@define(eq=False)
class Work:
    """Records calls.

    Attributes:
        context: Of the source.
        recorder: Of the context.
        calls: What is open.
    """

    context: SourceContext
    recorder: Recorder = field(init=False)
    calls: Calls = field(factory=Calls, init=False)

    def __attrs_post_init__(self) -> None:
        self.recorder = self.context.recorder

    # How a call begins

    def begin(
        self, run_id: Any, parent_run_id: Any, name: str, metadata: Mapping[str, Any] | None
    ) -> Call:
        """Take that a call begins, which is not recorded yet.

        One that is given callbacks of its own is told apart from what calls it, and so is one below
        what LangSmith traces. The context knows better: LangChain hands it on to each.
        """
        parent = None if parent_run_id is None else self.calls.known(key_of(parent_run_id))
        if parent is None:
            parent = self._around()
        parent = _remembered(parent)
        namespace = metadata.get("langgraph_checkpoint_ns") if metadata else None
        agent_name = metadata.get("lc_agent_name") if metadata else None
        call = Call(
            key_of(run_id), parent, name, agent_name, namespace=namespace, start_ns=time_ns()
        )
        self.calls.add(call)
        return call

    def _around(self) -> Call | None:
        around = call_around()
        return None if around is None else self.calls.known(key_of(around))

    def open(self, kind: Recorded, call: Call, /, **told: Any) -> None:
        """Record that *call* has begun, as what it is.

        It stands below what is recorded above it, or in what the code there has opened itself.
        Where nothing above it is recorded, it stands below the scope in which it began.
        """
        call.kind = kind
        if call.attributes is not None:
            told["attributes"] = call.attributes
        above = None if call.parent is None else call.parent.recorded()
        if above is not None:
            self.recorder.open(kind, call.key, self.recorder.innermost(above.key), **told)
        elif call.around is None:
            self.recorder.open(kind, call.key, HERE, **told)
        else:
            begun = partial(self.recorder.open, timestamp_ns=call.start_ns)
            call.around.run(begun, kind, call.key, HERE, **told)
            call.around = None

    def open_loose(self, kind: Recorded, call: Call, /, **told: Any) -> None:
        """Do so for a call that may end without a word, as those do that asyncio cancels."""
        self.open(kind, call, **told)
        call.task = _current_task()
        call.thread = threading.get_ident()
        self._hold(call)

    def _hold(self, call: Call) -> None:
        """Have the nearest call around it that is open end a loose one, or else its task."""
        holder = call.parent
        while holder is not None and holder.is_over:
            holder = holder.parent
        if holder is None:
            self._end_with_task(call)
            return
        call.holder = holder
        if holder.loose is None:
            holder.loose = {}
        holder.loose[call.key] = call

    # How it ends

    def end(self, call: Call, error: BaseException | None, **told: Any) -> None:
        """Record that *call* has ended; it was taken out of ``calls`` before."""
        if call.loose:
            self._end_loose(call, error)
        call.parent = _remembered(call.parent)
        if not call.is_recorded:
            return
        signal = signal_of(error)
        if signal or isinstance(error, GeneratorExit):
            error = None
        if call.interrupted or signal == "interrupted":
            told.setdefault("reason", "interrupted")
        elif signal == "drained":
            told.update(_CANCELLED, reason="drained")
        self.recorder.close(call.key, error, **told)

    @contextmanager
    def ending(self, call: Call, error: BaseException | None) -> Iterator[dict[str, Any]]:
        """Record that *call* has ended, with what the block tells, be it at fault."""
        told: dict[str, Any] = {}
        try:
            yield told
        finally:
            self.end(call, error, **told)

    def _end_loose(self, call: Call, error: BaseException | None) -> None:
        loose, call.loose = call.loose or {}, None
        for one in list(loose.values()):
            if not _is_over(one):  # the application has it go on by itself
                self._hold(one)
            elif self.calls.take(one.key) is one:
                # LangChain tells of no end that an exception such as SystemExit brings about.
                is_told = error is None or isinstance(error, _TOLD)
                self.end(one, error, **(_CANCELLED if is_told else {}))

    def _end_with_task(self, call: Call) -> None:
        if call.task is not None:
            call.on_done = self.context.guarded(partial(self._task_done, call))
            call.task.add_done_callback(call.on_done)

    def _task_done(self, call: Call, _: object) -> None:
        if self.calls.take(call.key) is call:
            self.end(call, None, **_CANCELLED)

    def end_all(self) -> None:
        """Record that everything has ended, of which nothing more will be heard."""
        for call in self.calls.take_all():
            call.loose = None
            self.end(call, None, status="expired", reason="the source was stopped")

    # What is no call

    def refuse(self, node: Call, name: str, call_id: str, answer: object) -> None:
        """Record that a tool was refused, which nobody has called."""
        above = node.recorded()
        key = (node.key, call_id)
        self.recorder.open(
            "tool", key, HERE if above is None else above.key, tool_name=name, call_id=call_id
        )
        told: dict[str, Any] = {}
        if self.context.content == "all":
            told = self.context.content_of(result=plain_content(answer))
        self.recorder.close(key, status="blocked", reason="refused", **told)


def _remembered(parent: Call | None) -> Call | None:
    return parent.remembered() if parent is not None and parent.is_over else parent


def _current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return None


def _is_over(loose: Call) -> bool:
    """Tell whether a call has ended without a word, as the call around it ends.

    What streams may go on: who reads it keeps it. A tool is one call of a function.
    """
    if loose.task is not None:
        return loose.task.done() or (loose.kind == "tool" and loose.task is _current_task())
    if loose.kind != "tool":
        return False
    threads = threading.enumerate()
    here = threading.get_ident()
    return loose.thread == here or all(one.ident != loose.thread for one in threads)
