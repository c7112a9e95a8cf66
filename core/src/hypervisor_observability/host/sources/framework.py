"""What a source says of its framework, and whether the one that is there fits."""

import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Self

from attrs import frozen

if TYPE_CHECKING:  # else loaded where a source asks for versions
    from .version_range import VersionRange

SOURCE_HOOKS = frozenset({"instrument", "uninstrument"})
"""Who has one of these is a source."""


@frozen
class Framework:
    """What a source waits for.

    Attributes:
        targets: Names of modules.
        supports: Versions that fit, by target; of one that is not in it, all.
        distributions: Whose version that is: of the first that is installed. Without any, it has
            the name of the target.
        each: Whether the source is instrumented for each target, rather than for the first.
    """

    targets: tuple[str, ...]
    supports: "Mapping[str, VersionRange]"
    distributions: tuple[str, ...]
    each: bool

    @classmethod
    def of(cls, source: object) -> Self:
        """Read the class attributes of a *source*.

        Raises:
            ValueError: One of them makes no sense.
        """
        targets = getattr(source, "targets", ())
        if isinstance(targets, str) or not isinstance(targets, Iterable):
            raise ValueError(f"targets: expected a tuple of names of modules, got {targets!r}")
        targets = tuple(targets)
        for name in targets:
            if not isinstance(name, str) or not all(map(str.isidentifier, name.split("."))):
                raise ValueError(f"targets: expected names of modules, got {name!r}")
        supports = getattr(source, "supports", None)
        each = getattr(source, "each_target", False)
        if not isinstance(each, bool):
            raise ValueError(f"each_target: expected true or false, got {each!r}")
        distribution = getattr(source, "distribution", None)
        names = () if distribution is None else distribution
        names = (names,) if isinstance(names, str) else names
        if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"distribution: expected a name, got {distribution!r}")
        try:
            return cls(targets, _ranges(supports, targets, names), names, each)
        except ValueError as error:
            raise ValueError(f"supports: {error}") from None

    @property
    def turns(self) -> tuple[str, ...]:
        """Name the occasions on which the source is to be instrumented."""
        return self.targets if self.each else ("",)

    def turn_of(self, target: str) -> str:
        """Name the occasion that the import of *target* is."""
        return target if self.each else ""

    def name_of(self, target: str) -> str:
        """Give what people know it by."""
        there = [name for name in self.distributions if _version_of(name) is not None]
        return " or ".join(there[:1] or self.distributions) or target or "it"

    def misfit(self, target: str, version: str | None) -> str | None:
        """Say why the *version* that is there does not fit; None where it does."""
        supported = self.supports.get(target)
        if supported is None or (version is not None and version in supported):
            return None
        if version is None:
            return f"the version of {self.name_of(target)} is not known, {supported.text} is"
        return f"{self.name_of(target)} {version} is not supported, {supported.text} is"

    def version(self, target: str) -> str | None:
        """Find the version that is installed, of which nothing is imported.

        Metadata come first: a module may not have been told of its own release. Without them it
        is what a module that was imported says of itself.
        """
        for name in self._distributions(target):
            found = _version_of(name)
            if found is not None:
                return found
        says = getattr(sys.modules.get(target), "__version__", None)
        return says if isinstance(says, str) else None

    def _distributions(self, target: str) -> Iterable[str]:
        if self.distributions:
            yield from self.distributions
            return
        yield target.replace(".", "-")
        top = target.partition(".")[0]
        owners = set(metadata.packages_distributions().get(top, ()))
        if len(owners) == 1:
            yield from owners


def _version_of(distribution: str) -> str | None:
    try:
        about = metadata.metadata(distribution)
        # What is half removed has none, which Python 3.12 and later warn of.
        found = about["Version"] if "Version" in about else None  # noqa: SIM401 - it is typed without get()
    except (metadata.PackageNotFoundError, OSError, TypeError):
        return None
    return found if isinstance(found, str) else None


def _ranges(
    supports: object, targets: tuple[str, ...], distributions: tuple[str, ...]
) -> "Mapping[str, VersionRange]":
    """Read ``supports``: one range for all targets, or a mapping of them.

    Raises:
        ValueError: It makes no sense.
    """
    if supports is None:
        return {}
    if not targets and not distributions:
        raise ValueError("of what is not said; there are no targets")
    from .version_range import VersionRange

    if not isinstance(supports, Mapping):
        return dict.fromkeys(targets or ("",), VersionRange.of(supports))
    for target in supports:
        if target not in targets:
            raise ValueError(f"{target!r} is not one of the targets")
    return {target: VersionRange.of(text) for target, text in supports.items()}
