"""What events say of a piece of work that a span tells of."""

from collections.abc import Collection, Mapping
from typing import Any

from hypervisor_genai.reading import (
    MOST_TEXT,
    Attributes,
    Work,
    amount_of,
    count_of,
    parsed,
    text_of,
)
from hypervisor_observability.sources import SourceContext


def beginning_of(context: SourceContext, work: Work, attributes: Attributes) -> dict[str, Any]:
    """Give what the event of the beginning says."""
    if work.kind == "agent":
        return {
            "agent_did": context.did_of(work.name),
            "name": work.name,
            "attributes": _conversation(work, attributes),
        }
    if work.kind == "run":
        return {
            "name": work.name,
            "kind": "workflow",
            "conversation_id": work.text(attributes, "conversation"),
        }
    if work.kind == "tool":
        return {
            "tool_name": work.name,
            "call_id": work.text(attributes, "call_id"),
            **_arguments(context, work, attributes),
        }
    return {
        "model": work.name,
        "provider": work.text(attributes, "provider"),
        "operation": work.operation,
    }


def _arguments(context: SourceContext, work: Work, attributes: Attributes) -> dict[str, Any]:
    if context.content == "none":
        return {}
    arguments = parsed(work.value(attributes, "arguments"))
    return {} if arguments is None else context.content_of(arguments=arguments)


def end_of(
    context: SourceContext, work: Work, attributes: Attributes, begun: Collection[str]
) -> dict[str, Any]:
    """Give what the event of the end says, beside how it ended.

    Args:
        context: Of the source.
        work: That has ended.
        attributes: Of its span.
        begun: What the event of the beginning has said.
    """
    told: dict[str, Any] = {}
    if work.kind == "tool":
        told["call_id"] = work.text(attributes, "call_id")
        if work.value(attributes, "put_off") == "ApprovalRequired":
            told |= {"status": "blocked", "reason": "approval required"}
        if "arguments" not in begun:  # Google ADK tells them at the end
            told |= _arguments(context, work, attributes)
        result = work.value(attributes, "result") if context.content == "all" else None
        if result is not None:
            told |= context.content_of(result=text_of(result))
    elif work.kind == "model":
        told["finish_reason"] = work.text(attributes, "finish_reason")
        told["first_token_seconds"] = amount_of(work.value(attributes, "first_token_seconds"))
    if context.content == "all" and work.kind in ("agent", "model"):
        keys = work.dialect.keys.get("texts", ())
        texts = {key: str(attributes[key])[:MOST_TEXT] for key in keys if key in attributes}
        if texts:
            told["attributes"] = texts
    return told


def usage_of(
    work: Work, attributes: Attributes, otherwise: tuple[int, int] | None
) -> dict[str, Any] | None:
    """Give what the event about tokens says of a model's call; None: nothing is known.

    Args:
        work: The call.
        attributes: Of its span.
        otherwise: Tokens that spans of the same call told, where this one tells none.
    """
    tokens = tokens_of(work, attributes) or otherwise
    cost = amount_of(work.value(attributes, "cost"))
    if tokens is None and cost is None:
        return None
    told: dict[str, Any] = {
        "model": work.text(attributes, "used_model") or work.name,
        "provider": work.text(attributes, "provider"),
    }
    if tokens is not None:
        told |= {"input_tokens": tokens[0], "output_tokens": tokens[1]}
    if cost is not None:
        told |= {"cost": cost, "currency": "USD"}
    return told


def tokens_of(work: Work, attributes: Attributes) -> tuple[int, int] | None:
    """Give the input's and the output's tokens; None: neither is told."""
    put_in = count_of(work.value(attributes, "input_tokens"))
    put_out = count_of(work.value(attributes, "output_tokens"))
    if put_in is None and put_out is None:
        return None
    return put_in or 0, put_out or 0


def _conversation(work: Work, attributes: Attributes) -> Mapping[str, str] | None:
    conversation = work.text(attributes, "conversation")
    return None if conversation is None else {"conversation_id": conversation}
