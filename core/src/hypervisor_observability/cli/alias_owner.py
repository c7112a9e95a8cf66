"""Which distribution owns the import name ``hypervisor.observability``, without importing it.

Importing it would run the package ``hypervisor`` of whoever has one, and that may fail. So the
finders of the import system are asked where the code lies, and the metadata of the
distributions whose file that is.
"""

import json
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from attrs import frozen

import hypervisor_observability

from ..host.discovery import canonical

ALIAS = "hypervisor.observability"
OURS = "hypervisor-observability"


@frozen
class AliasOwner:
    """Who owns the alias.

    Attributes:
        owner: The distribution; None if the file belongs to none that is known, or there is
            no such module.
        file: What an import would read; None if there is no such module.
    """

    owner: str | None
    file: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        file = None if self.file is None else str(self.file)
        return {"name": ALIAS, "owner": self.owner, "file": file}


def find_alias_owner() -> AliasOwner:
    """Find the file of ``hypervisor.observability``, and the distribution that brought it."""
    file = _find_file()
    return AliasOwner(None if file is None else _owner_of(file), file)


def _find_file() -> Path | None:
    package, _, _ = ALIAS.partition(".")
    parent = _spec(package, None)
    if parent is None or parent.submodule_search_locations is None:
        return None
    spec = _spec(ALIAS, list(parent.submodule_search_locations))
    return None if spec is None or spec.origin is None else Path(spec.origin)


def _spec(name: str, path: list[str] | None) -> ModuleSpec | None:
    # What ``importlib.util.find_spec`` does, which however imports the parent package.
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


def _owner_of(file: Path) -> str | None:
    file = file.resolve()
    known = list(distributions())
    for distribution in known:
        if file in _files_like(distribution, file.name):
            return canonical(str(distribution.metadata["Name"]))
    # An editable installation lists no file of its sources, but names their folder.
    folders = [(folder, one) for one in known if (folder := _editable_folder(one)) is not None]
    around = [(len(folder.parts), one) for folder, one in folders if folder in file.parents]
    if around:
        _, distribution = max(around, key=lambda found: found[0])
        return canonical(str(distribution.metadata["Name"]))
    # Run from a checkout that is just on the path: beside our own code lies our own file.
    source = Path(hypervisor_observability.__file__).resolve().parents[1]
    return OURS if file == source.joinpath(*ALIAS.split(".")).with_suffix(".py") else None


def _files_like(distribution: Distribution, name: str) -> Iterable[Path]:
    for listed in distribution.files or ():
        if listed.name == name and "hypervisor" in listed.parts:
            yield Path(str(listed.locate())).resolve()


def _editable_folder(distribution: Distribution) -> Path | None:
    """Give the folder of an editable installation, as PEP 610 records it."""
    try:
        recorded = json.loads(distribution.read_text("direct_url.json") or "null")
        if not recorded["dir_info"].get("editable"):
            return None
        url = urlsplit(recorded["url"])
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
    return Path(url2pathname(url.path)).resolve() if url.scheme == "file" else None
