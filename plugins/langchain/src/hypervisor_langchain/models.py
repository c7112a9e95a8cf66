"""Models: those that chat, and those that complete texts."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define

from hypervisor_langchain.asked import note_asked
from hypervisor_langchain.calls import key_of
from hypervisor_langchain.chains import Chains
from hypervisor_langchain.content import plain_messages
from hypervisor_langchain.usage import answer_of
from hypervisor_langchain.work import Work
from hypervisor_observability.events.event_types import USAGE_RECORDED

_MODEL_KEYS = ("model", "model_name", "model_id", "deployment_name")


@define(eq=False)
class Models:
    """The callbacks of models."""

    _work: Work
    _chains: Chains

    def chat_started(
        self, serialized: object, messages: Sequence[Iterable[object]], **told: Any
    ) -> None:
        """Take that a model begins to answer *messages*."""
        self._started("chat", serialized, messages, told)

    def completion_started(self, serialized: object, prompts: Sequence[str], **told: Any) -> None:
        """Take that a model begins to complete *prompts*."""
        self._started("text_completion", serialized, [prompts], told)

    def _started(
        self,
        operation: str,
        serialized: object,
        prompts: Sequence[Iterable[object]],
        told: Mapping[str, Any],
    ) -> None:
        work, metadata = self._work, told.get("metadata") or {}
        call = work.begin(told["run_id"], told.get("parent_run_id"), "", metadata)
        self._chains.decide(call.parent)
        call.model["model"] = _name_of(metadata, told, serialized)
        provider = metadata.get("ls_provider")
        if isinstance(provider, str) and provider:
            call.model["provider"] = provider
        payload: dict[str, Any] = {**call.model, "operation": operation}
        if work.context.content == "all":
            said = [message for one in prompts for message in plain_messages(one)]
            payload.update(work.context.content_of(prompt=said))
        work.open_loose("model", call, **payload)
        call.began = time.monotonic()

    def first_token(self, *_: object, run_id: Any, **__: object) -> None:
        """Take a token, of which the first counts."""
        call = self._work.calls.running(key_of(run_id))
        if call is not None and call.first_token_seconds is None:
            call.first_token_seconds = time.monotonic() - call.began

    def ended(self, response: object, *, run_id: Any, **_: object) -> None:
        """Take that a model has answered."""
        self._end(run_id, response, None)

    def failed(
        self, error: BaseException, *, run_id: Any, response: object = None, **_: object
    ) -> None:
        """Take that a model has failed, was cancelled or left by its reader."""
        self._end(run_id, response, error)

    def _end(self, run_id: Any, response: object, error: BaseException | None) -> None:
        work = self._work
        call = work.calls.take(key_of(run_id))
        if call is None:
            return
        with work.ending(call, error) as told:
            told["first_token_seconds"] = call.first_token_seconds
            answer = answer_of(response)
            told["finish_reason"] = answer.finish_reason
            if answer.used:
                work.recorder.point(USAGE_RECORDED, call.key, **{**call.model, **answer.used})
            if error is None:
                note_asked(call, answer.messages)
            if answer.texts and work.context.content == "all":
                told.update(work.context.content_of(answer=plain_messages(answer.texts)))


def _name_of(metadata: Mapping[str, Any], told: Mapping[str, Any], serialized: object) -> str:
    """Find the name of a model; its class where nobody gives one."""
    name = metadata.get("ls_model_name")
    if isinstance(name, str) and name:
        return name
    parameters = told.get("invocation_params")
    if isinstance(parameters, Mapping):
        for key in _MODEL_KEYS:
            name = parameters.get(key)
            if isinstance(name, str) and name:
                return name
    if isinstance(serialized, Mapping):
        path = serialized.get("id")
        name = serialized.get("name") or (path[-1] if isinstance(path, list) and path else None)
        if isinstance(name, str) and name:
            return name
    return "unknown"
