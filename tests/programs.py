"""Programs that tests run, and those that may be missing."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest

Found = TypeVar("Found")


def run(command: Sequence[object], **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run *command* for at most a minute; give what it wrote, and how it ended.

    :param options: Those of ``subprocess.run``. With ``check=True`` an exit code other than 0
        raises ``CalledProcessError``.
    """
    options = {"capture_output": True, "text": True, "timeout": 60, **options}
    return subprocess.run([*map(str, command)], check=options.pop("check", False), **options)


def run_python(
    program: str, *arguments: object, flags: Sequence[str] = (), **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run *program* in an interpreter of its own, as ``run`` does.

    :param flags: For the interpreter, such as ``("-W", "ignore")``.
    """
    return run([sys.executable, *flags, "-c", program, *arguments], **options)


def found_or_skip(name: str, find: Callable[[], Found | None], how_to_get: str) -> Found:
    """Give what *find* finds; where it finds nothing, fail in CI and skip elsewhere.

    :param name: What is looked for, as a reader knows it.
    :param find: Looks for it; None where it is not there.
    :param how_to_get: What a reader can do, as a sentence.
    """
    found = find()
    if found is not None:
        return found
    message = f"{name} is not on this machine. {how_to_get}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
