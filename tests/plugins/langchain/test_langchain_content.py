"""Messages as plain data."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hypervisor_langchain.content import plain_content, plain_message, plain_messages


class BaseMessage(SimpleNamespace):
    """Stands in for LangChain's class."""


class Command(SimpleNamespace):
    """Stands in for LangGraph's class."""


@pytest.fixture(autouse=True)
def _framework(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"langchain_core.messages.base": BaseMessage, "langgraph.types": Command}
    for name, one in found.items():
        module = ModuleType(name)
        setattr(module, one.__name__, one)
        monkeypatch.setitem(sys.modules, name, module)


def message(content: Any, kind: str = "human", **more: Any) -> BaseMessage:
    return BaseMessage(content=content, type=kind, **more)


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        (message("hello"), {"role": "human", "content": "hello"}),
        ("hello", "hello"),
        (7, 7),
        (
            message("sunny", "tool", tool_call_id="c1"),
            {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
        ),
        (
            message("", "ai", tool_calls=[{"name": "look", "args": {"a": 1}, "id": "c1"}]),
            {
                "role": "ai",
                "content": "",
                "tool_calls": [{"name": "look", "id": "c1", "arguments": {"a": 1}}],
            },
        ),
    ],
)
def test_message_is_plain(said: object, plain: object) -> None:
    assert plain_message(said) == plain
    assert plain_messages([said]) == [plain]


def test_images_are_told_by_their_size() -> None:
    parts = [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "data:..."}},
        {"type": "image", "base64": "abcd"},
        {"type": "file", "file": {"file_data": b"abc"}},
    ]

    assert plain_content(parts) == [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": "<dict>"},
        {"type": "image", "base64": "<4 characters>"},
        {"type": "file", "file": {"file_data": "<bytes>"}},
    ]


def test_result_of_a_tool_is_what_it_says() -> None:
    assert plain_content(message("sunny", "tool")) == "sunny"
    assert plain_content(Command(update={"messages": [message("hi")]})) == {
        "update": {"messages": ["hi"]}
    }
    assert plain_content(("a", 1)) == ["a", 1]


def test_what_holds_itself_or_grows_without_end_is_cut() -> None:
    endless: list[object] = []
    endless.append(endless)
    wide: list[object] = ["x"]
    for _ in range(12):
        wide = [wide] * 100

    assert "..." in str(plain_content(endless))
    assert len(str(plain_content(wide))) < 50_000
    assert len(str(plain_content(["x"] * 1_000_000))) < 50_000
