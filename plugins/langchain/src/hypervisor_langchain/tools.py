"""Tools, and retrievers, which are recorded as tools."""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define

from hypervisor_langchain.asked import attempt_of, fields_of
from hypervisor_langchain.calls import Call, key_of
from hypervisor_langchain.chains import Chains
from hypervisor_langchain.content import plain_content
from hypervisor_langchain.framework import is_message
from hypervisor_langchain.work import Work

_RETRY = "retry:attempt:"
"""How the tag begins that ``Runnable.with_retry`` gives an attempt from the second."""


@define(eq=False)
class Tools:
    """The callbacks of tools and retrievers."""

    _work: Work
    _chains: Chains

    def started(
        self,
        serialized: object,
        input_str: object,
        *,
        inputs: object = None,
        tool_call_id: object = None,
        **told: Any,
    ) -> None:
        """Take that a tool begins."""
        arguments = inputs if isinstance(inputs, Mapping) else {"input": input_str}
        call = self._begin(_name_of(serialized, told), told)
        call_id, attempt = attempt_of(call, tool_call_id, arguments)
        self._open(call, arguments, max(attempt, _attempt_in(told.get("tags"))), call_id)

    def retrieval_started(self, serialized: object, query: object, **told: Any) -> None:
        """Take that a retriever begins. One that a tool calls is what the tool does."""
        call = self._begin(_name_of(serialized, told), told)
        if call.parent is not None and call.parent.kind == "tool":
            call.kind = "part"
            return
        self._open(call, {"query": query}, _attempt_in(told.get("tags")), None)

    def _begin(self, name: str, told: Mapping[str, Any]) -> Call:
        work = self._work
        call = work.begin(told["run_id"], told.get("parent_run_id"), name, told.get("metadata"))
        self._chains.decide(call.parent)
        return call

    def _open(
        self, call: Call, arguments: Mapping[Any, Any], attempt: int, call_id: str | None
    ) -> None:
        payload: dict[str, Any] = self._work.context.content_of(arguments=arguments)
        if call_id:
            payload["call_id"] = call_id
        # Its code stands in it; that of a chain does not, which may be a generator: whoever reads
        # from it would stand there, too.
        self._work.open_loose(
            "tool", call, tool_name=call.name, attempt=attempt, activate=True, **payload
        )

    def ended(self, output: object, *, run_id: Any, **_: object) -> None:
        """Take that a tool or a retriever has ended well, or with an error that it has handled."""
        work = self._work
        call = work.calls.take(key_of(run_id))
        if call is None:
            return
        with work.ending(call, None) as told:
            fields = fields_of(output) if is_message(output) else {}
            if fields.get("status") == "error" and "tool_call_id" in fields:
                told.update(status="error", reason="the tool has handled an error")
            if work.context.content == "all":
                told.update(work.context.content_of(result=plain_content(output)))

    def failed(self, error: BaseException, *, run_id: Any, **_: object) -> None:
        """Take that a tool or a retriever has failed, was cancelled or waits for an answer."""
        call = self._work.calls.take(key_of(run_id))
        if call is not None:
            self._work.end(call, error)


def _name_of(serialized: object, told: Mapping[str, Any]) -> str:
    name = serialized.get("name") if isinstance(serialized, Mapping) else None
    name = name or told.get("name")
    return name if isinstance(name, str) and name else "unknown"


def _attempt_in(tags: object) -> int:
    """Give which attempt the *tags* say that it is; 1 where they do not."""
    for tag in tags if isinstance(tags, Iterable) else ():
        if isinstance(tag, str) and tag.startswith(_RETRY):
            number = tag.removeprefix(_RETRY)
            return int(number) if number.isascii() and number.isdigit() else 1
    return 1
