"""Do the installed versions fit what distributions ask for? A small part of PEP 440."""

import operator
import re
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, requires, version

from attrs import frozen

_NAME = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^]]*\])?\s*\(?([^;()]*)\)?\s*(;.*)?$")
_CLAUSE = re.compile(r"\s*(~=|==|!=|<=|>=|<|>)\s*(\d+(?:\.\d+)*)(\.\*)?\s*$")
_RELEASE = re.compile(r"v?(?:\d+!)?(\d+(?:\.\d+)*)")

Release = tuple[int, ...]
_COMPARE: dict[str, Callable[[Release, Release], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


@frozen
class Misfit:
    """A requirement that is not met.

    Attributes:
        distribution: Who asks.
        requirement: For what, such as ``pluggy>=1.7``.
        found: The version that is installed; None if it is not.
    """

    distribution: str
    requirement: str
    found: str | None

    def __str__(self) -> str:
        found = "it is not installed" if self.found is None else f"{self.found} is installed"
        return f"{self.distribution} needs {self.requirement}, but {found}"


def misfits(distributions: Iterable[str]) -> list[Misfit]:
    """Name the requirements of *distributions* that are not met.

    Requirements with a condition (an extra, a platform) and clauses beyond numbers are left
    to pip.
    """
    found = []
    for distribution in distributions:
        for requirement in requires_of(distribution):
            match = _NAME.match(requirement)
            if match is None or match[3]:
                continue
            installed = version_of(match[1])
            if installed is None or not fits(installed, match[2]):
                found.append(Misfit(distribution, requirement.strip(), installed))
    return found


def requires_of(distribution: str) -> list[str]:
    """Give what *distribution* asks for; nothing if it is not installed."""
    try:
        return requires(distribution) or []
    except PackageNotFoundError:
        return []


def version_of(distribution: str) -> str | None:
    """Give the installed version; None if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def fits(installed: str, clauses: str) -> bool:
    """Tell whether a version meets *clauses* such as ``>=1.7,<2``; what is odd is met."""
    release = _RELEASE.match(installed)
    if release is None:
        return True
    have = _numbers(release[1])
    return all(_fits_clause(have, clause) for clause in clauses.split(",") if clause.strip())


def _fits_clause(have: Release, clause: str) -> bool:
    match = _CLAUSE.match(clause)
    if match is None:
        return True
    sign, want, prefix = match[1], _numbers(match[2]), match[3]
    length = len(want)
    have, want = _padded(have, want), _padded(want, have)
    if sign == "~=":
        # Compatible release: at least this one, and the same but for the last number.
        return have >= want and have[: length - 1] == want[: length - 1]
    if sign in _COMPARE:
        return _COMPARE[sign](have, want)
    same = have[:length] == want[:length] if prefix else have == want
    return same if sign == "==" else not same


def _numbers(text: str) -> Release:
    return tuple(map(int, text.split(".")))


def _padded(one: Release, other: Release) -> Release:
    return one + (0,) * (len(other) - len(one))
