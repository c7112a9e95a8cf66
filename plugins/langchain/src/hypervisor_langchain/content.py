"""Messages of LangChain as plain data, for payloads.

Called where the user asks for all content alone.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from attrs import define

from hypervisor_langchain.framework import is_command, is_message

_LOUD = frozenset({"base64", "data", "file_data", "image_url", "input_audio", "url"})
"""Keys of parts of messages that hold images, sounds and files, or say where they are."""
_MAX_NODES = 4_096
_MAX_DEPTH = 16
"""What is more, or deeper, an event cuts off itself."""


def plain_messages(messages: Iterable[object]) -> list[object]:
    """Give *messages* as dicts: who says what, and which tools a model asks for."""
    return [plain_message(one) for one in islice(messages, _MAX_NODES)]


def plain_message(message: object) -> object:
    """Give one message as a dict; what is none as plain content."""
    if not is_message(message):
        return plain_content(message)
    content: Any = message
    plain: dict[str, Any] = {"role": content.type, "content": plain_content(content.content)}
    calls = getattr(message, "tool_calls", None)
    calls = [one for one in calls if isinstance(one, dict)] if isinstance(calls, list) else None
    if calls:
        plain["tool_calls"] = [
            {"name": one.get("name"), "id": one.get("id"), "arguments": one.get("args")}
            for one in calls
        ]
    call_id = getattr(message, "tool_call_id", None)
    if call_id is not None:
        plain["tool_call_id"] = call_id
    return plain


def plain_content(content: object) -> object:
    """Give what a message or a tool says, with its images and files by their size alone."""
    return _Copier().copied(content, 0)


@define
class _Copier:
    """Copies what may be large, or hold itself."""

    _nodes: int = 0

    def copied(self, content: Any, depth: int) -> object:
        self._nodes += 1
        if self._nodes > _MAX_NODES or depth > _MAX_DEPTH:
            return "..."
        if is_message(content):
            return self.copied(content.content, depth + 1)
        kind = type(content)
        if issubclass(kind, Mapping):
            return {
                key: _size_of(value) if key in _LOUD else self.copied(value, depth + 1)
                for key, value in islice(content.items(), _MAX_NODES)
            }
        if issubclass(kind, list | tuple):
            return [self.copied(one, depth + 1) for one in islice(content, _MAX_NODES)]
        update = content.update if is_command(content) else None
        return (
            {"update": self.copied(update, depth + 1)} if isinstance(update, Mapping) else content
        )


def _size_of(value: object) -> str:
    return f"<{len(value)} characters>" if isinstance(value, str) else f"<{type(value).__name__}>"
