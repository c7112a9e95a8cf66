"""Models without a network: they answer as a script says, and make spans as real ones do, or none.

``Spanless`` makes none, as the framework's own ``ScriptedModel`` and many a model of a user's.
``chat_completions`` and ``responses`` are the framework's own models, over an API that is a
function: what they make of its answers, and which spans, is theirs.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias

from agents import Model, ModelResponse, OpenAIChatCompletionsModel, OpenAIResponsesModel, Usage
from openai import AsyncOpenAI
from openai.types.responses import Response, ResponseCompletedEvent

from hypervisor_observability.testing import AgentScript, CallTools, Fail, HandOff, Say, Stall

httpx: Any = import_module("httpx2" if find_spec("httpx2") else "httpx")
"""What this version of the vendor's client is built on."""

MODEL = "fake-1"

Turn: TypeAlias = CallTools | Say | HandOff | Fail | Stall
ModelMaker: TypeAlias = Callable[[AgentScript], Model]


async def next_turn(turns: Iterator[Turn]) -> CallTools | Say | HandOff:
    """Give the next turn that has an answer; fail or wait where the script says so."""
    turn = next(turns)
    if isinstance(turn, Fail):
        raise turn.error
    if isinstance(turn, Stall):
        await turn.wait()
        raise AssertionError("it waits until it is cancelled")
    return turn


def calls_of(turn: CallTools | Say | HandOff, script: AgentScript) -> list[tuple[str, str, str]]:
    """Give the id, the name and the arguments of each call that a turn asks for."""
    if isinstance(turn, HandOff):
        return [(f"handoff-{script.name}-{turn.to}", f"transfer_to_{turn.to}", "{}")]
    if isinstance(turn, Say):
        return []
    agents = {one.name for one in script.agents}
    calls = []
    for call in turn.calls:
        # The framework calls the argument of an agent that is a tool otherwise.
        arguments = {"input": call.arguments["request"]} if call.name in agents else call.arguments
        calls.append((call.call_id, call.name, json.dumps(arguments)))
    return calls


def response_of(turn: CallTools | Say | HandOff, script: AgentScript) -> dict[str, Any]:
    """Give what the Responses API answers."""
    output: list[dict[str, Any]] = [
        {
            "type": "function_call",
            "id": f"item-{call_id}",
            "call_id": call_id,
            "name": name,
            "arguments": arguments,
            "status": "completed",
        }
        for call_id, name, arguments in calls_of(turn, script)
    ]
    if isinstance(turn, Say):
        text = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
        output = [
            {
                "type": "message",
                "id": "message-1",
                "role": "assistant",
                "status": "completed",
                "content": [text],
            }
        ]
    read, written = turn.usage.input_tokens, turn.usage.output_tokens
    return {
        "id": "response-1",
        "object": "response",
        "created_at": 0,
        "model": f"{MODEL}-2026-11-01",
        "status": "completed",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + written,
        },
    }


class Spanless(Model):
    """A model that makes no spans: what it used stands in the turn alone."""

    def __init__(self, script: AgentScript) -> None:
        self.script = script
        self.turns = iter(script.turns)

    async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
        """Answer."""
        response = await self._response()
        usage = response.usage
        assert usage is not None
        return ModelResponse(
            output=response.output,
            usage=Usage(
                requests=1,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                total_tokens=usage.total_tokens,
            ),
            response_id=None,
        )

    async def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        """Answer, at once."""
        response = await self._response()
        yield ResponseCompletedEvent(
            type="response.completed", response=response, sequence_number=0
        )

    async def _response(self) -> Response:
        return Response.model_validate(response_of(await next_turn(self.turns), self.script))


def chat_completions(script: AgentScript) -> Model:
    """Make the framework's model for the API that most vendors have."""
    return OpenAIChatCompletionsModel(MODEL, client_of(script))


def responses(script: AgentScript) -> Model:
    """Make the framework's model for the Responses API."""
    return OpenAIResponsesModel(MODEL, client_of(script))


def client_of(script: AgentScript) -> AsyncOpenAI:
    """Make the vendor's client, whose API answers as the script says."""
    turns = iter(script.turns)

    async def answer(request: Any) -> Any:
        asked = json.loads(request.content)
        try:
            turn = await next_turn(turns)
        except Exception as error:
            return httpx.Response(400, json={"error": {"message": str(error)}})
        if request.url.path.endswith("/responses"):
            body = response_of(turn, script)
            parts = [{"type": "response.completed", "sequence_number": 0, "response": body}]
        else:
            body, parts = completion_of(turn, script)
        if not asked.get("stream"):
            return httpx.Response(200, json=body)
        return httpx.Response(
            200, headers={"content-type": "text/event-stream"}, stream=_Events(parts)
        )

    http_client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return AsyncOpenAI(
        api_key="none", base_url="http://fake.invalid/v1", http_client=http_client, max_retries=0
    )


class _Events(httpx.AsyncByteStream):
    """Server-sent events, one after the other."""

    def __init__(self, parts: list[dict[str, Any]]) -> None:
        self.parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield f"event: {part.get('type', 'chunk')}\ndata: {json.dumps(part)}\n\n".encode()
        yield b"data: [DONE]\n\n"


def completion_of(
    turn: CallTools | Say | HandOff, script: AgentScript
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Give what the Chat Completions API answers: at once, and in parts."""
    calls = [
        {"index": at, "id": call_id, "type": "function", "function": {"name": name, "arguments": a}}
        for at, (call_id, name, a) in enumerate(calls_of(turn, script))
    ]
    text = turn.text if isinstance(turn, Say) else None
    read, written = turn.usage.input_tokens, turn.usage.output_tokens
    usage = {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }
    about = {"id": "completion-1", "created": 0, "model": f"{MODEL}-2026-11-01"}
    reason = "tool_calls" if calls else "stop"
    message = {"role": "assistant", "content": text, "tool_calls": calls or None}
    whole = {
        **about,
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": reason, "message": message}],
        "usage": usage,
    }
    deltas: list[dict[str, Any]] = [{"role": "assistant", "tool_calls": calls or None}]
    deltas += [{"content": f"{word} "} for word in (text or "").split()]
    parts: list[dict[str, Any]] = [
        {**about, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}
        for delta in deltas
    ]
    parts[-1]["choices"][0]["finish_reason"] = reason
    parts.append(
        {**about, "object": "chat.completion.chunk", "choices": [], "usage": usage},
    )
    return whole, parts
