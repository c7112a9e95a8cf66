"""What is recorded of calls: where each stands, and how it ends."""

import asyncio
from collections.abc import Mapping
from functools import partial
from time import time_ns
from typing import Any

from attrs import define, field

from hypervisor_langchain.calls import Call, Calls, Recorded
from hypervisor_langchain.content import plain_content
from hypervisor_langchain.handoffs import signal_of
from hypervisor_observability import SourceContext
from hypervisor_observability.recorder import HERE, Recorder

_CANCELLED = {"status": "cancelled", "reason": "cancelled"}


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
        """Take that a call begins, which is not recorded yet."""
        parent = None if parent_run_id is None else self.calls.known(parent_run_id.int)
        namespace = metadata.get("langgraph_checkpoint_ns") if metadata else None
        call = Call(run_id.int, parent, name, namespace=namespace, start_ns=time_ns())
        self.calls.add(call)
        return call

    def open(self, kind: Recorded, call: Call, /, **told: Any) -> None:
        """Record that *call* has begun, as what it is.

        Where nothing above it is recorded, it stands below the scope in which it began.
        """
        call.kind = kind
        if call.attributes is not None:
            told["attributes"] = call.attributes
        above = None if call.parent is None else call.parent.recorded()
        if above is not None:
            self.recorder.open(kind, call.key, above.key, **told)
        elif call.around is None:
            self.recorder.open(kind, call.key, HERE, **told)
        else:
            begun = partial(self.recorder.open, timestamp_ns=call.start_ns)
            call.around.run(begun, kind, call.key, HERE, **told)
            call.around = None

    def open_loose(self, kind: Recorded, call: Call, /, **told: Any) -> None:
        """Do so for a call that may end without a word, as those do that asyncio cancels."""
        self.open(kind, call, **told)
        try:
            call.task = asyncio.current_task()
        except RuntimeError:  # no loop runs in this thread
            return
        if call.task is None:
            return
        if call.parent is None:
            self._end_with_task(call)
        elif call.parent.loose is None:
            call.parent.loose = {call.key: call}
        else:
            call.parent.loose[call.key] = call

    # How it ends

    def end(self, call: Call, error: BaseException | None, **told: Any) -> None:
        """Record that *call* has ended; it was taken out of ``calls`` before."""
        if call.loose is not None:
            self._end_loose(call, error)
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

    def _end_loose(self, call: Call, error: BaseException | None) -> None:
        loose, call.loose = call.loose or {}, None
        for one in loose.values():
            if one.task is None:
                continue
            if not one.task.done():  # the application has it go on by itself
                self._end_with_task(one)
            elif self.calls.take(one.key) is one:
                self.end(one, error, **_CANCELLED)

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
