"""What the SDK's code knows as it begins a span, and the span does not say.

A span of a function tells neither the call's id nor, at its start, its arguments; one of a response
names no model. The code that begins it has all that in its local variables, where it is looked
up by name. Where a version has it under another name, it is not told.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

from attrs import frozen

UNKNOWN_MODEL = "unknown"

_PASSED_BY = ("agents.tracing", "hypervisor_openai_agents", "hypervisor_observability")
_MAX_FRAMES = 4
"""So far behind the beginning of a span is what began it, at most."""


@frozen
class Caller:
    """What began a tool.

    Attributes:
        call_id: Of the call, as the model has it.
        arguments: JSON, as the model wrote it.
        is_sensitive: Whether the run keeps its content out of its traces.
    """

    call_id: str | None = None
    arguments: str | None = None
    is_sensitive: bool = False


@frozen
class CalledModel:
    """What is called.

    Attributes:
        model: Its name.
        stream: Whether its answer comes in parts.
        is_sensitive: As of ``Caller``.
    """

    model: str = UNKNOWN_MODEL
    stream: bool | None = None
    is_sensitive: bool = False


def begun_by_sdk() -> bool:
    """Tell whether the SDK itself begins what is begun, rather than the user."""
    frame = next(_behind(sys._getframe(1)), None)
    module = "" if frame is None else _module(frame)
    return module == "agents" or module.startswith("agents.")


def tool_caller() -> Caller:
    """Look for the call of the tool that is begun."""
    for frame in _behind(sys._getframe(1)):
        call = _local(frame, "tool_call")
        if call is not None:
            config = getattr(_local(frame, "self"), "config", None)
            return Caller(
                _text(getattr(call, "call_id", None)),
                _text(getattr(call, "arguments", None)),
                _is_sensitive(config),
            )
        config = _local(frame, "config")
        if config is not None:
            return Caller(is_sensitive=_is_sensitive(config))
    return Caller(is_sensitive=True)


def held_back() -> str | None:
    """Tell why the tool that ends has not run; None: it has.

    A person is to approve of it first; or a guardrail has answered in its place.
    """
    for frame in _behind(sys._getframe(1)):
        if _local(frame, "tool_call") is None:
            continue
        result = _local(frame, "result")
        item = getattr(result, "run_item", None)
        if getattr(item, "type", None) == "tool_approval_item":
            return "waits for approval"
        verdicts = getattr(_local(frame, "self"), "tool_input_guardrail_results", None)
        for verdict in verdicts if result and isinstance(verdicts, list) else ():
            behavior = getattr(verdict.output, "behavior", None)
            of_tool = getattr(_local(frame, "func_tool"), "tool_input_guardrails", None)
            own = verdict.guardrail in (of_tool or ())
            if own and isinstance(behavior, dict) and behavior.get("message") is result:
                return f"rejected by guardrail {verdict.guardrail.get_name()}"
        return None
    return None


def called_model() -> CalledModel:
    """Look for the model whose call is begun."""
    interface = sys.modules.get("agents.models.interface")
    kind = getattr(interface, "Model", None)
    for frame in _behind(sys._getframe(1)):
        model = _subject(frame)
        if kind is not None and isinstance(model, kind):
            tracing = _local(frame, "tracing")
            include = getattr(tracing, "include_data", None)
            stream = "stream" in frame.f_code.co_name
            return CalledModel(model_name(model), stream, include is None or not include())
    return CalledModel(is_sensitive=True)


def model_of_turn() -> CalledModel:
    """Look for the model of the agent whose turn is begun."""
    for frame in _behind(sys._getframe(1)):
        config = _local(frame, "run_config")
        if config is not None:
            agent = _local(frame, "current_agent")
            model = getattr(config, "model", None) or getattr(agent, "model", None)
            return CalledModel(model_name(model), None, _is_sensitive(config))
    return CalledModel(is_sensitive=True)


def usage_of_turn() -> object:
    """Look for what the model has used in the turn that ends; None: it is not told."""
    for frame in _behind(sys._getframe(1)):
        result = _local(frame, "turn_result")
        if result is not None:
            return getattr(getattr(result, "model_response", None), "usage", None)
    return None


def model_name(model: object) -> str:
    """Name a model: by what it is asked by, else by its class."""
    if model is None:
        return UNKNOWN_MODEL
    for name in (model, getattr(model, "model", None)):
        if isinstance(name, str) and name:
            return str(name)
    return type(model).__name__


def went_through_model(error: BaseException) -> bool:
    """Tell whether *error* came out of a model's code."""
    interface = sys.modules.get("agents.models.interface")
    kind = getattr(interface, "Model", None)
    trace = error.__traceback__
    while trace is not None:
        if kind is not None and isinstance(_subject(trace.tb_frame), kind):
            return True
        trace = trace.tb_next
    return False


def _behind(frame: FrameType | None) -> Iterator[FrameType]:
    """Give the frames of whoever called the SDK's tracing, innermost first."""
    while frame is not None and _module(frame).startswith(_PASSED_BY):
        frame = frame.f_back
    for _ in range(_MAX_FRAMES):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def _local(frame: FrameType, name: str) -> Any:
    """Give a local variable; None where there is none of that name."""
    code = frame.f_code
    if name not in code.co_varnames and name not in code.co_cellvars + code.co_freevars:
        return None
    return frame.f_locals.get(name)


def _subject(frame: FrameType) -> Any:
    """Give the first argument: of a method, its object, whatever its author calls that."""
    code = frame.f_code
    return _local(frame, code.co_varnames[0]) if code.co_argcount else None


def _module(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name if isinstance(name, str) else ""


def _is_sensitive(config: object) -> bool:
    include = getattr(config, "trace_include_sensitive_data", False)
    return include is not True


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def arguments_in(text: str | None) -> Mapping[str, object] | str | None:
    """Read arguments that a model wrote; what is no JSON object stays a text."""
    if text is None:
        return None
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return read if isinstance(read, dict) else text
