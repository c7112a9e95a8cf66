"""Calls of models."""

import time
from collections.abc import Mapping

from attrs import define, field

from ..causality.causal_trace import CausalTraceId
from ..events import ids
from .attributes import set_attributes
from .calls_here import begin_call
from .event_writer import EventWriter
from .kinds import KINDS
from .opened import Opened
from .place import current_place
from .work import open_work


@define(eq=False)
class ModelCall:
    """A call of a model, while it lasts.

    Attributes:
        model: The model.
        operation: What it does: ``chat``, ``embeddings``, ...
        trace: The call's own causal id.
        finish_reason: Set it to why the model stopped, as it says.
        first_token_seconds: How long the first token took; None before that.
    """

    model: str
    operation: str
    trace: CausalTraceId
    finish_reason: str | None = None
    first_token_seconds: float | None = field(init=False, default=None)
    _began: float = field(init=False, factory=time.monotonic)
    _attributes: dict[str, object] = field(init=False, factory=dict)

    set = set_attributes

    def first_token(self) -> None:
        """Note that the first token is there. Of several calls the first counts.

        Of a decorated generator the first value is taken for it.
        """
        if self.first_token_seconds is None:
            self.first_token_seconds = time.monotonic() - self._began

    def begun(self) -> None:
        """Note that it begins now; for ``open_model``."""
        self._began = time.monotonic()

    def told(self) -> dict[str, object]:
        """Give what the code told of the end; for ``open_model``."""
        told: dict[str, object] = {}
        if self.first_token_seconds is not None:
            told["first_token_seconds"] = self.first_token_seconds
        if self.finish_reason is not None:
            told["finish_reason"] = self.finish_reason
        return told


def open_model(
    writer: EventWriter,
    model: str,
    provider: str | None,
    operation: str,
    call_id: str | None,
    stream: bool | None,  # noqa: FBT001 - inside; the recorder takes it by name
    attributes: Mapping[str, object] | None,
) -> Opened[ModelCall]:
    """Begin a call of a model; see ``Recorder.model``."""
    trace, model, operation = writer.next_trace(), ids.as_text(model), ids.as_text(operation)
    payload = {
        "model": model,
        "provider": provider,
        "operation": operation,
        "call_id": None if call_id is None else ids.as_text(call_id),
        "stream": stream,
        "attributes": attributes,
    }
    call = ModelCall(model, operation, trace)
    opened = open_work(
        writer,
        KINDS["model"],
        current_place(),
        trace,
        payload,
        call,
        call.told,
        call.first_token,
        begin_call(writer.identity, "model", model),
    )
    call.begun()
    return opened
