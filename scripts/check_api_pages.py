"""Find public names that the built pages of the API do not show: because no docstring says what
they are, or because griffe does not see them.

Usage: ``python scripts/check_api_pages.py SITE``, where mkdocs has put the site.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import attrs

PACKAGE = "hypervisor_observability"
API = "reference/api"


def public_names(module_name: str) -> Iterator[str]:
    """Give the names that a page on the module must have, with the methods of its classes."""
    module = import_module(module_name)
    for name in getattr(module, "__all__", ()):
        yield f"{module_name}.{name}"
        named = getattr(module, name)
        if inspect.isclass(named):
            yield from (f"{module_name}.{name}.{method}" for method in methods_of(named))


def methods_of(named: type) -> Iterator[str]:
    """Give the public methods and properties of a class of ours that say what they do."""
    fields = {one.name for one in attrs.fields(named)} if attrs.has(named) else set()
    for name in dir(named):
        ours = [
            vars(base)[name]
            for base in named.__mro__
            if name in vars(base) and base.__module__.startswith(PACKAGE)
        ]
        if name.startswith("_") or name in fields or not ours:
            continue
        # The tests of a contract are sentences, and have no docstring.
        does = callable(getattr(named, name, None)) or isinstance(ours[0], property)
        if does and not name.startswith("test_"):
            yield name


def main(site: Path) -> int:
    """Print what is missing, and return the exit code."""
    missing = []
    for page in sorted((site / API).glob("**/index.html")):
        module_name = PACKAGE if page.parent.name == "api" else f"{PACKAGE}.{page.parent.name}"
        shown = set(re.findall(r'id="([\w.]+)"', page.read_text("utf-8")))
        missing += [name for name in public_names(module_name) if name not in shown]
    if missing:
        sys.stderr.write(f"The pages of the API lack {', '.join(missing)}\n")
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
