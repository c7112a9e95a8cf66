"""Calls of tools."""

from collections.abc import Mapping

from attrs import define, field

from ..causality.causal_trace import CausalTraceId
from ..events import ids
from .attributes import set_attributes
from .calls_here import begin_call
from .event_writer import EventWriter, unless_empty
from .kinds import KINDS
from .opened import Opened
from .place import current_place
from .work import open_work


@define(eq=False)
class ToolCall:
    """A call of a tool, while it lasts.

    Attributes:
        tool_name: The tool.
        call_id: What its caller calls the call; None where that was not told.
        trace: The call's own causal id.
        result: Set it to the text that the end is recorded with.
    """

    tool_name: str
    call_id: str | None
    trace: CausalTraceId
    result: str | None = None
    _attributes: dict[str, object] = field(init=False, factory=dict)
    _blocked: dict[str, object] = field(init=False, factory=dict)

    set = set_attributes

    def block(self, reason: str = "") -> None:
        """Record that the call was refused: its status is ``blocked``, however the block ends.

        Args:
            reason: Why.
        """
        self._blocked = {"status": "blocked"}
        if unless_empty(reason) is not None:
            self._blocked["reason"] = reason

    def told(self) -> dict[str, object]:
        """Give what the code told of the end; for ``open_tool``."""
        return self._blocked if self.result is None else {"result": self.result, **self._blocked}


def open_tool(
    writer: EventWriter,
    tool_name: str,
    call_id: str | None,
    attempt: int,
    arguments: object,
    attributes: Mapping[str, object] | None,
) -> Opened[ToolCall]:
    """Begin a call of a tool; see ``Recorder.tool``."""
    trace, tool_name = writer.next_trace(), ids.as_text(tool_name)
    call_id = None if call_id is None else ids.as_text(call_id)
    payload = {
        "tool_name": tool_name,
        "call_id": call_id,
        "attempt": attempt,
        "arguments": arguments,
        "attributes": attributes,
    }
    call = ToolCall(tool_name, call_id, trace)
    return open_work(
        writer,
        KINDS["tool"],
        current_place(),
        trace,
        payload,
        call,
        call.told,
        call=begin_call(writer.identity, "tool", tool_name),
    )
