"""Fill ``${VAR}``, ``${VAR:-default}`` and ``${file:/path}`` in the values of a configuration.

A value that came from outside is kept as an :class:`Interpolated`, so that it can be
converted to its field's type, and is never shown: it is the usual way for a secret to come.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from .file import UnusableFile, read_text
from .shown import harmless
from .toml_lines import KeyPath

_PART = re.compile(r"\$\$|\$\{(?P<inside>[^}]*)(?P<end>\}?)", re.DOTALL)
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
_FILE = "file:"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class CannotInterpolate(ValueError):  # noqa: N818 - a verdict on a value; becomes a ConfigProblem
    """Say why a value cannot be filled."""


@frozen
class Interpolated:
    """A text that came, wholly or in part, from a variable or a file.

    Attributes:
        text: The value. It may be a secret.
        expression: What stood in the file, to be shown instead, such as ``${PORT}``.
        is_whole: Whether nothing else stood in the string, so that the text may be
            converted to a number or a boolean.
    """

    text: str = field(repr=False)
    expression: str
    is_whole: bool

    def __str__(self) -> str:
        if self.is_whole:
            return f"the value of {self.expression}"
        return f"a string with {self.expression} in it"


@frozen
class Unresolved:
    """Stands for a value that could not be filled. The problem has been told already."""


def interpolate(text: str, *, environ: Mapping[str, str], folder: Path) -> str | Interpolated:
    """Fill *text*. ``$$`` gives ``$``; a ``$`` before anything else stays as it is.

    Args:
        text: A string of the configuration.
        environ: The variables.
        folder: Where relative paths of ``${file:...}`` start.

    Raises:
        CannotInterpolate: A variable or file is missing, empty, or holds line breaks or
            ``${``; or the expression is malformed. Names the variable, never its value.
    """
    expressions: list[str] = []

    def fill(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        expression, value = _evaluate(match, environ, folder)
        expressions.append(expression)
        return value

    filled = _PART.sub(fill, text)
    if not expressions:
        return filled
    whole = _PART.fullmatch(text)
    return Interpolated(filled, expressions[0], is_whole=whole is not None)


def _evaluate(match: re.Match[str], environ: Mapping[str, str], folder: Path) -> tuple[str, str]:
    """Give the expression, without its default, and its value."""
    inside = match["inside"]
    if "${" in inside:
        msg = "a ${...} cannot stand inside another ${...}"
        raise CannotInterpolate(msg)
    if not match["end"]:
        msg = "a '${' without its '}' (write '$${' for the characters themselves)"
        raise CannotInterpolate(msg)
    if inside.startswith(_FILE):
        expression = "${" + harmless(inside) + "}"
        name = inside.removeprefix(_FILE)
        return expression, _checked(expression, _file_value(expression, name, folder))
    variable = _VARIABLE.fullmatch(inside)
    if variable is None:
        # Not shown: somebody may have put the secret itself between the braces.
        msg = "malformed ${...}: expected ${NAME}, ${NAME:-default} or ${file:/path}"
        raise CannotInterpolate(msg)
    name, default = variable["name"], variable["default"]
    expression = "${" + harmless(name) + "}"
    value = environ.get(name, "")
    if not value and default is not None:
        return expression, default
    if not value:
        state = "is empty" if name in environ else "is not set"
        msg = f"the environment variable {harmless(name)} {state}"
        raise CannotInterpolate(msg)
    return expression, _checked(expression, value)


def _file_value(expression: str, name: str, folder: Path) -> str:
    if not name or name.startswith("~"):
        msg = f"{expression}: expected the path of a file; '~' is not expanded"
        raise CannotInterpolate(msg)
    try:
        text = read_text(folder / name)
    except UnusableFile as error:
        msg = f"{expression}: {error}"
        raise CannotInterpolate(msg) from None
    # Editors and `echo` end a file with a line break that is no part of the secret.
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        msg = f"{expression}: the file is empty"
        raise CannotInterpolate(msg)
    return value


def _checked(expression: str, value: str) -> str:
    if _CONTROL.search(value):
        msg = f"the value of {expression} holds a line break or another control character"
        raise CannotInterpolate(msg)
    if "${" in value:
        msg = f"the value of {expression} holds '${{', which is not filled a second time"
        raise CannotInterpolate(msg)
    return value


def interpolate_tree(
    value: Any,
    fill: Callable[[str], str | Interpolated],
    findings: list[tuple[KeyPath, str]],
    path: KeyPath = (),
) -> Any:
    """Fill every string in *value*: tables, arrays, and what is in them; keys stay.

    Args:
        value: A table of the configuration.
        fill: :func:`interpolate` with its surroundings.
        findings: What is wrong is put here, with the path of its key.
        path: Where *value* stands.

    Returns:
        A copy of *value*; what could not be filled is an :class:`Unresolved`.
    """
    if isinstance(value, str):
        try:
            return fill(value)
        except CannotInterpolate as error:
            findings.append((path, str(error)))
            return Unresolved()
    if isinstance(value, dict):
        return {
            key: interpolate_tree(item, fill, findings, (*path, key)) for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            interpolate_tree(item, fill, findings, (*path, index))
            for index, item in enumerate(value)
        ]
    return value
