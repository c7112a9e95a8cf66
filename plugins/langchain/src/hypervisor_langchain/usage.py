"""What an answer of a model says about itself: usage, and why it ended.

The classes of LangChain are asked for what they have: those of older releases lack some of it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_INPUT = ("input_tokens", "prompt_tokens")
_OUTPUT = ("output_tokens", "completion_tokens")
_REASONS = ("finish_reason", "stop_reason", "done_reason")


def messages_in(result: object) -> Iterator[object]:
    """Give the messages of an ``LLMResult``; a model that completes texts has none."""
    for generations in getattr(result, "generations", None) or ():
        for generation in generations:
            message = getattr(generation, "message", None)
            if message is not None:
                yield message


def texts_in(result: object) -> Iterator[object]:
    """Give the messages of an ``LLMResult``, or the texts where there are none."""
    for generations in getattr(result, "generations", None) or ():
        for generation in generations:
            message = getattr(generation, "message", None)
            yield getattr(generation, "text", "") if message is None else message


def usage_of(result: object) -> dict[str, Any]:
    """Give the tokens that an ``LLMResult`` says were used: nothing where it does not say.

    Several answers to one prompt all tell the usage of the prompt, so the first counts. One that
    came from a cache has used nothing: LangChain says that it costs 0.
    """
    for generations in getattr(result, "generations", None) or ():
        for generation in generations:
            told = getattr(getattr(generation, "message", None), "usage_metadata", None)
            if isinstance(told, Mapping):
                return {} if told.get("total_cost") == 0 else _tokens(told)
    output = getattr(result, "llm_output", None)
    if isinstance(output, Mapping):
        for key in ("token_usage", "usage"):
            if isinstance(output.get(key), Mapping):
                return _tokens(output[key])
    return {}


def finish_reason_of(result: object) -> str | None:
    """Give why the model has stopped, as it says itself; None: it does not."""
    for generations in getattr(result, "generations", None) or ():
        for generation in generations:
            message = getattr(generation, "message", None)
            for info in (
                getattr(generation, "generation_info", None),
                getattr(message, "response_metadata", None),
            ):
                reason = _first(info, _REASONS)
                if isinstance(reason, str) and reason:
                    return reason
    return None


def _tokens(told: Mapping[Any, Any]) -> dict[str, Any]:
    found = {"input_tokens": _first(told, _INPUT), "output_tokens": _first(told, _OUTPUT)}
    return {name: int(count) for name, count in found.items() if _is_count(count)}


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _first(told: object, keys: tuple[str, ...]) -> Any:
    if isinstance(told, Mapping):
        for key in keys:
            if told.get(key) is not None:
                return told[key]
    return None
