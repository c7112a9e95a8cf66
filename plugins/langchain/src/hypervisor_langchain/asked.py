"""The calls of tools that models ask for, and what became of each.

LangChain's older releases do not say which of them a tool answers; none says which attempt it is,
or that a middleware refused it, in which case no tool is called at all.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import define

from hypervisor_langchain.calls import Call

MAX_ASKED = 1_000
"""Most calls that are remembered of one graph; beyond, all are forgotten."""


@define(eq=False)
class Asked:
    """A call of a tool that a model has asked for.

    Attributes:
        name: Of the tool.
        arguments: By name.
        attempts: How many times the tool was called.
    """

    name: str
    arguments: object
    attempts: int = 0


def note_asked(model: Call, messages: Iterable[object]) -> None:
    """Note which tools a *model* asks for in its answers."""
    if model.parent is None:
        return
    whole = model.parent.whole()
    for message in messages:
        for call_id, one in _calls_in(getattr(message, "tool_calls", None)):
            _asked_in(whole)[call_id] = one


def note_given(node: Call, inputs: object) -> None:
    """Note which calls of tools a *node* is given, where a model asked for them in another run."""
    if node.parent is None:
        return
    given = (inputs.get("tool_call"),) if isinstance(inputs, Mapping) else inputs
    for call_id, one in _calls_in(given):
        _asked_in(node.parent.whole()).setdefault(call_id, one)


def _calls_in(calls: object) -> Iterator[tuple[str, Asked]]:
    for one in calls if isinstance(calls, list | tuple) else ():
        if isinstance(one, Mapping) and isinstance(one.get("id"), str) and "name" in one:
            yield one["id"], Asked(str(one["name"]), one.get("args"))


def attempt_of(tool: Call, call_id: object, arguments: object) -> tuple[str | None, int]:
    """Find which call a *tool* answers that begins, where nobody told, and how often it was tried.

    Returns:
        The id of the call, None where there is none; and the attempt, from 1.
    """
    if tool.parent is None:
        return (call_id if isinstance(call_id, str) else None), 1
    asked = _asked_in(tool.parent.whole())
    if not isinstance(call_id, str):
        call_id = _answered(asked, tool.name, arguments)
        if call_id is None:
            return None, 1
    one = asked.setdefault(call_id, Asked(tool.name, arguments))
    one.attempts += 1
    return call_id, one.attempts


def refused_in(node: Call, result: object) -> Iterator[tuple[str, str, Any]]:
    """Find the calls that a *node* has answered with an error without calling the tool.

    Returns:
        For each the tool's name, the id of the call, and the answer.
    """
    if node.parent is None or node.holds_graph:  # what a graph in it answered comes again here
        return
    messages = list(messages_of(result))
    if any(getattr(message, "type", None) == "remove" for message in messages):
        return  # it writes the history anew
    asked = node.parent.whole().asked or {}
    for message in messages:
        call_id = getattr(message, "tool_call_id", None)
        if getattr(message, "status", None) != "error" or not isinstance(call_id, str):
            continue
        one = asked.get(call_id)
        if one is None or not one.attempts:
            name = getattr(message, "name", None) or (one.name if one else "unknown")
            yield str(name), call_id, getattr(message, "content", None)


def messages_of(result: object) -> Iterator[object]:
    """Give the messages that a node returns, in a state, in commands or as they are."""
    if isinstance(result, list | tuple):
        for one in result:
            yield from messages_of(one) if not hasattr(one, "tool_call_id") else (one,)
        return
    update = getattr(result, "update", None)
    state = update if isinstance(update, Mapping) else result
    if isinstance(state, Mapping):
        messages = state.get("messages")
        yield from messages if isinstance(messages, list | tuple) else (messages,)


def _asked_in(whole: Call) -> dict[str, Asked]:
    if whole.asked is None or len(whole.asked) >= MAX_ASKED:
        whole.asked = {}
    return whole.asked


def _answered(asked: Mapping[str, Asked], name: str, arguments: object) -> str | None:
    """Find the call of the tool *name* with these *arguments*, the least tried first."""
    found = [
        (one.attempts, call_id)
        for call_id, one in asked.items()
        if one.name == name and one.arguments == arguments
    ]
    return min(found, key=lambda one: one[0])[1] if found else None
