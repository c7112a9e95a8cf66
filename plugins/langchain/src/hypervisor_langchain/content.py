"""Messages of LangChain as plain data, for payloads.

Called where the user asks for all content alone. The event's own copy of a payload bounds what
comes of it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

_LOUD = frozenset({"base64", "data", "file_data", "image_url", "input_audio", "url"})
"""Keys of parts of messages that hold images, sounds and files, or say where they are."""


def plain_messages(messages: Iterable[object]) -> list[object]:
    """Give *messages* as dicts: who says what, and which tools a model asks for."""
    return [plain_message(one) for one in messages]


def plain_message(message: object) -> object:
    """Give one message as a dict; what is none as it is."""
    if not hasattr(message, "content") or not hasattr(message, "type"):
        return message if isinstance(message, str) else plain_content(message)
    plain: dict[str, Any] = {"role": message.type, "content": plain_content(message.content)}
    calls = getattr(message, "tool_calls", None)
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
    """Give what a message or a tool says, with its images and files by their kind alone."""
    if hasattr(content, "content") and hasattr(content, "type"):
        return plain_content(content.content)
    if isinstance(content, Mapping):
        return {
            key: _kind_of(value) if key in _LOUD else plain_content(value)
            for key, value in content.items()
        }
    if isinstance(content, list | tuple):
        return [plain_content(one) for one in content]
    update = getattr(content, "update", None)
    return {"update": plain_content(update)} if isinstance(update, Mapping) else content


def _kind_of(value: object) -> str:
    return f"<{len(value)} characters>" if isinstance(value, str) else f"<{type(value).__name__}>"
