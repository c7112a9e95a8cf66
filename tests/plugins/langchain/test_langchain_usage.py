"""What answers say of themselves, in the shapes that providers have."""

from types import SimpleNamespace
from typing import Any

import pytest

from hypervisor_langchain.usage import answer_of


def result(llm_output: Any = None, **told: Any) -> SimpleNamespace:
    """Give what an answer of a chat model looks like."""
    metadata = told.pop("metadata", {})
    message = SimpleNamespace(response_metadata=metadata, **told)
    generation = SimpleNamespace(message=message, generation_info=None)
    return SimpleNamespace(generations=[[generation]], llm_output=llm_output)


def text(info: Any = None, llm_output: Any = None) -> SimpleNamespace:
    """Give what an answer of a model looks like that completes texts."""
    generation = SimpleNamespace(text="x", generation_info=info)
    return SimpleNamespace(generations=[[generation]], llm_output=llm_output)


USED = {"input_tokens": 5, "output_tokens": 3}


@pytest.mark.parametrize(
    ("answer", "used"),
    [
        (result(usage_metadata={**USED, "total_tokens": 8}), USED),
        (result(usage_metadata={**USED, "total_cost": 0}), {}),
        (result(usage_metadata={"input_tokens": 5}), {"input_tokens": 5}),
        (result(usage_metadata={"input_tokens": "5", "output_tokens": True}), {}),
        (result(usage_metadata={"input_tokens": -1, "output_tokens": None}), {}),
        (result({"token_usage": {"prompt_tokens": 5, "completion_tokens": 3}}), USED),
        (text(llm_output={"token_usage": {"prompt_tokens": 5, "completion_tokens": 3}}), USED),
        (text(llm_output={"usage": USED}), USED),
        (text(llm_output={"token_usage": {}}), {}),
        (text(llm_output="much"), {}),
        (SimpleNamespace(generations=None), {}),
        (None, {}),
    ],
)
def test_usage_is_found_where_providers_put_it(answer: object, used: dict[str, int]) -> None:
    assert answer_of(answer).used == used


def test_several_answers_to_one_prompt_are_one_use() -> None:
    one = result(usage_metadata=USED)
    one.generations[0] *= 3

    assert answer_of(one).used == USED


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (result(metadata={"finish_reason": "stop"}), "stop"),
        (result(metadata={"stop_reason": "end_turn"}), "end_turn"),
        (text({"finish_reason": "length"}), "length"),
        (text({"finish_reason": 3}), None),
        (result(metadata=None), None),
        (None, None),
    ],
)
def test_reason_is_found_where_providers_put_it(answer: object, reason: str | None) -> None:
    assert answer_of(answer).finish_reason == reason
