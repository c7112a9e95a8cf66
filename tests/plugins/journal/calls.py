"""What a piece of work asks of the system: how many calls, how many open files."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest


def counting(
    monkeypatch: pytest.MonkeyPatch, module: Any, names: Sequence[str]
) -> Callable[[], int]:
    """Count the calls of these functions of a module from now on; give what tells the count."""
    count = 0

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            return call(*arguments, **options)

        return wrapped

    for name in names:
        monkeypatch.setattr(module, name, around(getattr(module, name)))
    return lambda: count


def calls_of(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> int:
    """Count how often *action* opens, lists or looks at something."""
    with monkeypatch.context() as patch:
        count = counting(patch, os, ("open", "stat", "scandir", "lstat", "listdir"))
        action()
    return count()


def descriptors() -> int:
    """Give how many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
