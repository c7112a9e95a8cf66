"""Make Markdown of the docstrings, for the pages of the API: mkdocstrings loads it by griffe.

Docstrings name other objects by reStructuredText's roles, and begin examples with ``::``.
"""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_EXAMPLE = re.compile(r"::\n\n((?:    .*\n?|\n)+)")


def markdown_of(docstring: str) -> str:
    """Give *docstring*, in which roles are plain code and examples are fenced."""
    return _EXAMPLE.sub(_fenced, _ROLE.sub(r"`\1`", docstring))


def _fenced(example: re.Match[str]) -> str:
    lines = (line.removeprefix("    ") for line in example[1].strip("\n").split("\n"))
    return ":\n\n```python\n" + "\n".join(lines) + "\n```\n\n"


class Docstrings(griffe.Extension):
    """Changes each docstring once it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Be told of an object that was read."""
        if obj.docstring is not None:
            obj.docstring.value = markdown_of(obj.docstring.value)
