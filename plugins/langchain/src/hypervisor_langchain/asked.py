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
        for call_id, one in _calls_in(fields_of(message).get("tool_calls")):
            _asked_in(whole)[call_id] = one


def note_given(node: Call, inputs: object) -> None:
    """Note which calls of tools a *node* is given, where a model asked for them in another run."""
    if node.parent is None:
        return
    if isinstance(inputs, dict):
        given = inputs.get("tool_call")
        inputs = None if given is None else [given]
    for call_id, one in _calls_in(inputs):
        _asked_in(node.parent.whole()).setdefault(call_id, one)


def _calls_in(calls: object) -> Iterator[tuple[str, Asked]]:
    for one in calls if isinstance(calls, list | tuple) else ():
        if isinstance(one, dict) and isinstance(one.get("id"), str) and "name" in one:
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
    found = []
    for message in messages_of(result):
        fields = fields_of(message)
        if fields.get("type") == "remove":
            return  # it writes the history anew
        if fields.get("status") == "error" and isinstance(fields.get("tool_call_id"), str):
            found.append(fields)
    asked = (node.parent.whole().asked or {}) if found else {}
    for fields in found:
        call_id = fields["tool_call_id"]
        one = asked.get(call_id)
        if one is None or not one.attempts:
            name = fields.get("name") or (one.name if one else "unknown")
            yield str(name), call_id, fields.get("content")


def messages_of(result: object) -> Iterator[object]:
    """Give the messages that a node returns, in a state, in commands or as they are."""
    if isinstance(result, list | tuple):
        for one in result:
            if "tool_call_id" in fields_of(one):
                yield one
            else:
                yield from messages_of(one)
        return
    state = result if isinstance(result, dict) else fields_of(result).get("update")
    if isinstance(state, dict):
        messages = state.get("messages")
        yield from messages if isinstance(messages, list | tuple) else (messages,)


def fields_of(thing: object) -> Mapping[str, Any]:
    """Give what a message or a command holds, by name.

    Asking a pydantic model for an attribute that it lacks takes longer than all the rest.
    """
    return getattr(thing, "__dict__", None) or {}


def _asked_in(whole: Call) -> dict[str, Asked]:
    if whole.is_over:  # nobody would empty it
        return {}
    if whole.asked is None or len(whole.asked) >= MAX_ASKED:
        whole.asked = {}
    return whole.asked


def _answered(asked: Mapping[str, Asked], name: str, arguments: object) -> str | None:
    """Find the call of the tool *name* with these *arguments*, the least tried first."""
    found = [
        (one.attempts, call_id)
        for call_id, one in asked.items()
        if one.name == name and _are_equal(one.arguments, arguments)
    ]
    return min(found, key=lambda one: one[0])[1] if found else None


def _are_equal(one: object, other: object) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - objects of the application, such as arrays
        return False
