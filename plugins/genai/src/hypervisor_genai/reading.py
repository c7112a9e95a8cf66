"""What a span says of an agent's work: which kind of work it is, of what name, with what values."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from hypervisor_genai.dialects import AGENT_FRAMEWORK, DIALECTS, GEN_AI, MCP, Dialect
from hypervisor_observability.recorder.kinds import KindName

Attributes = Mapping[str, Any]

MOST_TEXT = 65_536
"""Characters of a text that are kept, and up to which arguments are parsed."""

# Google ADK and Microsoft's Agent Framework start a span by its name alone, and set attributes
# later. Words that may begin other people's spans, too, are believed of those two only.
_TOLD_BY_NAME = re.compile(
    r"(?P<word>invoke_agent|invoke_workflow|execute_tool|generate_content)(?: (?P<name>.+))?",
    re.DOTALL,
)
_TOLD_BY_NAME_THERE = re.compile(
    r"(?P<word>chat|embeddings|text_completion)(?: (?P<name>.+))?", re.DOTALL
)
_THERE = frozenset({"gcp.vertex.agent", "agent_framework"})
_WORKFLOW = ("agent_framework", "workflow.run")
# mcp's client, its server and Agent Framework's client name spans so.
_CALL_OF_MCP = re.compile(r"(?:MCP send )?tools/call (?P<name>.+)", re.DOTALL)
# "(merged)": Google ADK notes so that the results of several tools were put together.
_NO_WORK = frozenset({"execute_tool (merged)"})
# What frameworks say in place of an id that they do not know.
_NO_ID = frozenset({"", "unknown", "<not specified>"})


@frozen
class Work:
    """What a span is about.

    Attributes:
        kind: Of the work.
        name: Of the agent, the run, the tool or the model.
        operation: The convention's own word for it.
        dialect: The convention that it is told in.
    """

    kind: KindName
    name: str
    operation: str
    dialect: Dialect

    def value(self, attributes: Attributes, what: str) -> Any:
        """Give a value by what we call it; None: it is not there."""
        return first(attributes, self.dialect.keys.get(what, ()))

    def text(self, attributes: Attributes, what: str) -> str | None:
        """Give a value as text; None where it is not there, or is a word for an unknown id."""
        text = text_of(self.value(attributes, what))
        return None if text in _NO_ID else text


def work_of(span_name: object, attributes: Attributes, scope: str) -> Work | None:
    """Say what a span is about; None: no work of an agent, or none that it tells of yet."""
    name = span_name if isinstance(span_name, str) else str(span_name)
    if name in _NO_WORK:
        return None
    if (scope, name) == _WORKFLOW:
        return _named("run", name, AGENT_FRAMEWORK, name, attributes)
    told = _TOLD_BY_NAME.fullmatch(name)
    if told is None and scope in _THERE:
        told = _TOLD_BY_NAME_THERE.fullmatch(name)
    is_told = False
    for dialect in DIALECTS:
        if dialect.told_by in attributes:
            is_told = True
            word = text_of(attributes[dialect.told_by]) or ""
            if word in dialect.kinds:
                kind = dialect.kinds[word]
                return None if kind is None else _named(kind, word, dialect, name, attributes)
    if told is None or is_told:
        return None
    word = told["word"]
    kind = GEN_AI.kinds[word]
    return None if kind is None else _named(kind, word, GEN_AI, name, attributes)


def _named(
    kind: KindName, word: str, dialect: Dialect, span_name: str, attributes: Attributes
) -> Work:
    name = text_of(first(attributes, dialect.keys.get(kind, ())))
    if not name and dialect in (GEN_AI, MCP):
        found = _CALL_OF_MCP.fullmatch(span_name)
        if found is not None:
            name = found["name"]
        elif span_name.startswith(f"{word} "):
            name = span_name[len(word) + 1 :]
    return Work(kind, (name or span_name or word)[:MOST_TEXT], word, dialect)


def first(attributes: Attributes, keys: tuple[str, ...]) -> Any:
    """Give the value of the first of *keys* that has one."""
    for key in keys:
        value = attributes.get(key)
        if value is not None:
            return value
    return None


def text_of(value: object) -> str | None:
    """Give a value as text; of a list its first entry."""
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    if value is None:
        return None
    return (value if isinstance(value, str) else str(value))[:MOST_TEXT]


def count_of(value: object) -> int | None:
    """Give a number of tokens; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or value < 0:
        return None
    return int(value)


def amount_of(value: object) -> float | None:
    """Give seconds or a cost; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def parsed(value: object) -> object:
    """Give what a text of JSON holds; the value itself where it is no such text."""
    if not isinstance(value, str) or len(value) > MOST_TEXT or not value.startswith(("{", "[")):
        return text_of(value) if isinstance(value, str) else value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
