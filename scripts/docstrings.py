"""What the pages of the API need beyond what griffe finds; mkdocstrings loads it.

Docstrings name other objects by reStructuredText's roles, and begin examples with ``::``: they
become Markdown. A method may be a function of another module (``breach = calls.breach``).
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


def _find_methods(found: griffe.Object, loader: griffe.GriffeLoader) -> None:
    for name, member in list(found.members.items()):
        if member.is_alias:
            continue
        if member.is_attribute and found.is_class:
            function = _function_of(member, loader)
            if function is not None:
                found.set_member(name, _method(name, function))
        elif member.is_module or member.is_class:
            _find_methods(member, loader)


def _function_of(attribute: griffe.Attribute, loader: griffe.GriffeLoader) -> Any:
    if not isinstance(attribute.value, griffe.ExprAttribute):
        return None
    try:
        known = loader.modules_collection[attribute.value.canonical_path]
    except KeyError:
        return None  # of another package
    return known if known.is_function else None


def _method(name: str, function: griffe.Function) -> griffe.Function:
    return griffe.Function(
        name,
        parameters=griffe.Parameters(*function.parameters),
        returns=function.returns,
        docstring=function.docstring,
    )


class Docstrings(griffe.Extension):
    """Changes what was read before pages are made of it."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Be told of an object that was read."""
        if obj.docstring is not None:
            obj.docstring.value = markdown_of(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Be told of a package all of which was read."""
        _find_methods(pkg, loader)
