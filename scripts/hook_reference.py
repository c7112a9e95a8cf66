"""Write docs/reference/hooks.md from the docstrings of ``hookspecs.py``.

Run it so: ``.venv/bin/python -m scripts.hook_reference``. Above the line
``MARK`` the page is written by hand; what is below it is replaced.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from hypervisor_observability import hookspecs

PAGE = Path(__file__).parents[1] / "docs/reference/hooks.md"
MARK = "<!-- Below: written by scripts/hook_reference.py. -->\n"

_FIELD = re.compile(r"^:(param \w+|returns|raises \w+): ", re.MULTILINE)


def hooks() -> Iterator[ast.FunctionDef]:
    """Give the hooks, in the order of the file, which is that of a plugin's life."""
    for node in ast.parse(inspect.getsource(hookspecs)).body:
        if isinstance(node, ast.FunctionDef) and "hookspec" in map(_name, node.decorator_list):
            yield node


def _name(decorator: ast.expr) -> str:
    return ast.unparse(decorator).partition("(")[0]


def signature(hook: ast.FunctionDef) -> str:
    """Give the first line of a method that implements *hook*."""
    # Names in quotes are those that only type checkers import.
    arguments = re.sub("['\"]", "", ast.unparse(hook.args))
    result = re.sub("['\"]", "", ast.unparse(hook.returns)) if hook.returns else "None"
    return f"def {hook.name}({', '.join(filter(None, ('self', arguments)))}) -> {result}: ..."


def section(hook: ast.FunctionDef) -> str:
    """Give what the page says of *hook*."""
    docstring = (ast.get_docstring(hook) or "").replace("``", "`")
    text, *fields = _FIELD.split(docstring)
    lines = [f"## {hook.name}", "", "```python notest", "@hookimpl", signature(hook), "```", ""]
    lines += [text.strip(), ""]
    for name, meaning in zip(fields[::2], fields[1::2], strict=True):
        kind, _, of = name.partition(" ")
        told = {"param": f"`{of}`", "raises": f"Raises `{of}`", "returns": "Returns"}[kind]
        lines.append(f"- {told}: {' '.join(meaning.split())}")
    return "\n".join(lines).rstrip() + "\n"


def with_reference(page: str) -> str:
    """Give *page*, in which what is below the mark is up to date."""
    by_hand, mark, _ = page.partition(MARK)
    if not mark:
        raise ValueError(f"the page lacks the line {MARK!r}")
    return by_hand + mark + "\n" + "\n".join(map(section, hooks()))


if __name__ == "__main__":
    PAGE.write_text(with_reference(PAGE.read_text("utf-8")), "utf-8")
