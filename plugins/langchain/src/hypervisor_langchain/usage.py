"""What an answer of a model says about itself: usage, and why it ended.

It is asked for what it has: the classes of LangChain differ from release to release.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any

from attrs import define

_INPUT = ("input_tokens", "prompt_tokens")
_OUTPUT = ("output_tokens", "completion_tokens")
_REASONS = ("finish_reason", "stop_reason", "done_reason")
_NOTHING: Mapping[str, Any] = {}


@define
class Answer:
    """What an ``LLMResult`` says.

    Attributes:
        messages: Of a chat model; one that completes texts has none.
        texts: The messages, or the texts where there are none.
        used: The tokens that were used, by the names that ``usage.recorded`` has; nothing where
            it does not say.
        finish_reason: Why the model has stopped, as it says itself; None: it does not.
    """

    messages: list[object]
    texts: list[object]
    used: dict[str, Any]
    finish_reason: str | None


def answer_of(result: object) -> Answer:
    """Read an ``LLMResult``, or what there is in place of one."""
    answer = Answer([], [], {}, None)
    usage: object = None
    for generation in _generations(result):
        fields = _fields(generation)
        message = fields.get("message")
        if message is None:
            answer.texts.append(fields.get("text", ""))
            told = _NOTHING
        else:
            answer.messages.append(message)
            answer.texts.append(message)
            told = _fields(message)
        # Several answers to one prompt all tell the usage of the prompt, so the first counts.
        usage = usage or told.get("usage_metadata")
        if answer.finish_reason is None:
            reason = _first(fields.get("generation_info"), _REASONS)
            reason = reason or _first(told.get("response_metadata"), _REASONS)
            answer.finish_reason = reason if isinstance(reason, str) and reason else None
    if isinstance(usage, dict):
        # One that came from a cache has used nothing: LangChain says that it costs 0.
        answer.used = {} if usage.get("total_cost") == 0 else _tokens(usage)
    else:
        output = getattr(result, "llm_output", None)
        answer.used = _tokens(_first(output, ("token_usage", "usage")))
    return answer


def _generations(result: object) -> Iterator[object]:
    several = getattr(result, "generations", None)
    for one in several if isinstance(several, list) else ():
        if isinstance(one, Iterable):
            yield from one


def _fields(thing: object) -> Mapping[str, Any]:
    return getattr(thing, "__dict__", None) or _NOTHING


def _tokens(told: object) -> dict[str, Any]:
    found = {"input_tokens": _first(told, _INPUT), "output_tokens": _first(told, _OUTPUT)}
    return {name: int(count) for name, count in found.items() if _is_count(count)}


def _is_count(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return value >= 0 and isfinite(value)


def _first(told: object, keys: tuple[str, ...]) -> Any:
    if isinstance(told, dict):
        for key in keys:
            if told.get(key) is not None:
                return told[key]
    return None
