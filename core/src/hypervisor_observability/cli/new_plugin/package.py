"""What a new plugin's package is made of, and where each part of it goes."""

import difflib
import keyword
import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from attrs import frozen

from ... import __version__

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MAX_NAME = 50

KINDS = {
    "events": "Writes each event as a line of JSON",
    "spans": "Writes each finished span as a line of JSON",
    "metrics": "Writes the totals of all metrics as lines of JSON",
    "source": "Makes the work of a framework of agents into events",
}
"""The kinds of plugins: what the new one does until its author changes it."""

_WRITES_FILE = ("events", "spans", "metrics")


def mistake_in(name: str, taken: frozenset[str]) -> str | None:
    """Say why a plugin cannot have this *name*; None if it can.

    Args:
        name: Of the plugin, as in ``[plugins.NAME]``.
        taken: Names that have another meaning: of commands, and of our own plugins.
    """
    if name in taken:
        return "the name is taken by a command or by a plugin of the project's own"
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").removeprefix("hypervisor-")
    hint = f" (did you mean '{plain}'?)" if _NAME.fullmatch(plain) and plain not in taken else ""
    if name.startswith("hypervisor-"):
        return f"the package gets 'hypervisor-' by itself{hint}"
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME or keyword.iskeyword(name):
        return f"expected lower-case letters, digits and '-', such as 'acme-log'{hint}"
    return None


def mistake_in_kind(kind: str) -> str | None:
    """Say why there is no plugin of this *kind*, and what may be meant; None if there is."""
    if kind in KINDS:
        return None
    if kind == "store":
        return (
            "there is no template for a store: begin with StoreContract of"
            " hypervisor_observability.testing ('Stores' on the documentation's page Plugins)"
        )
    near = difflib.get_close_matches(kind, KINDS, 1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    return f"{kind!r} is not one of {', '.join(KINDS)}{hint}"


@frozen
class Package:
    """The package of a new plugin.

    Attributes:
        name: Of the plugin.
        kind: One of ``KINDS``.
    """

    name: str
    kind: str

    @property
    def distribution(self) -> str:
        """What pip calls it, and what its folder is called."""
        return f"hypervisor-{self.name}"

    @property
    def module(self) -> str:
        """What Python calls it."""
        return self.distribution.replace("-", "_")

    @property
    def class_name(self) -> str:
        """The plugin's class."""
        return f"{self._prefix}{'Source' if self.kind == 'source' else 'Plugin'}"

    @property
    def _prefix(self) -> str:
        return "".join(part.capitalize() for part in self.name.split("-"))

    @property
    def table(self) -> str:
        """The table that turns it on."""
        key = f'file = "{self.name}.jsonl"\n' if self.kind in _WRITES_FILE else ""
        return f"[plugins.{self.name}]\n{key}"

    def files(self) -> Iterator[tuple[Path, str]]:
        """Give each file by its place in the folder, with its text."""
        words = {
            "name": self.name,
            "distribution": self.distribution,
            "module": self.module,
            "class_name": self.class_name,
            "class_prefix": self._prefix,
            "summary": KINDS[self.kind],
            "version": __version__,
            "table": self.table,
        }
        for path, template in self._templates():
            yield path, Template(template.read_text("utf-8")).substitute(words)

    def _templates(self) -> Iterator[tuple[Path, Traversable]]:
        templates = files(__package__) / "templates"
        common, own = templates / "common", templates / self.kind
        package = Path("src", self.module)
        for name in ("pyproject.toml", "README.md", "LICENSE", "hypervisor.toml"):
            yield Path(name), common / f"{name}.template"
        yield Path(".gitignore"), common / "gitignore.template"
        yield Path(".github", "workflows", "test.yml"), common / "test.yml.template"
        yield package / "py.typed", common / "py.typed.template"
        yield package / "__init__.py", own / "plugin.py.template"
        yield Path("tests", f"test_{self.module}.py"), own / "test.py.template"
        if self.kind == "source":
            yield package / "example.py", own / "example.py.template"
