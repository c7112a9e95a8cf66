"""Versions and ranges of them, as PEP 440 has them, as far as sources need it."""

import re
from collections.abc import Callable
from typing import Any, Self

from attrs import frozen

_VERSION = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<phase>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<number>\d*))?"
    r"(?:-(?P<bare>\d+)|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<posts>\d*))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<devs>\d*))?"
    r"(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?"
)
_CLAUSE = re.compile(r"(~=|==|!=|<=|>=|<|>)\s*([^\s*]+?)(\.\*)?")
_PHASES = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}
_FINAL = 3

Key = tuple[Any, ...]


@frozen
class _Version:
    epoch: int
    release: tuple[int, ...]
    phase: tuple[int, int]
    """Of a pre-release; (3, 0) of what is none."""
    post: int
    """-1 where it is no post-release."""
    dev: float
    """Infinite where it is no development release."""
    written: tuple[int, ...]
    """The release as it was written: 1.0 is 1, and ``==1.0.*`` is not ``==1.*``."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse *text*.

        Raises:
            ValueError: It is no version.
        """
        match = _VERSION.fullmatch(text.strip().lower())
        if match is None:
            raise ValueError(f"{text!r} is not a version")
        written = tuple(int(part) for part in match["release"].split("."))
        release = [*written]
        while len(release) > 1 and not release[-1]:
            release.pop()
        phase = (_FINAL, 0)
        if match["phase"]:
            phase = (_PHASES[match["phase"]], int(match["number"] or 0))
        post = -1
        if match["post"] or match["bare"]:
            post = int(match["bare"] or match["posts"] or 0)
        dev = int(match["devs"] or 0) if match["dev"] else float("inf")
        if match["dev"] and not match["phase"] and post < 0:
            phase = (-1, 0)  # before all pre-releases
        return cls(int(match["epoch"] or 0), tuple(release), phase, post, dev, written)

    @property
    def key(self) -> Key:
        """By which versions are ordered."""
        return (self.epoch, self.release, self.phase, self.post, self.dev)

    @property
    def begin(self) -> Key:
        """The key before which all that leads up to it is left behind."""
        if self.early:
            return self.key
        phase = self.phase if self.post >= 0 else (-1, 0)
        return (self.epoch, self.release, phase, self.post, 0)

    @property
    def end(self) -> Key:
        """The key behind which all that follows up on it is left behind."""
        if self.post >= 0 or self.dev != float("inf"):
            return self.key
        return (self.epoch, self.release, self.phase, float("inf"), float("inf"))

    @property
    def early(self) -> bool:
        """Whether it comes before the release that it names."""
        return self.phase < (_FINAL, 0) or self.dev != float("inf")

    def begins_with(self, parts: tuple[int, ...], epoch: int) -> bool:
        """Whether its release begins with *parts*."""
        padded = self.release + (0,) * (len(parts) - len(self.release))
        return self.epoch == epoch and padded[: len(parts)] == parts


@frozen
class VersionRange:
    """What ``supports`` says, such as ``>=1.0,<2``."""

    text: str
    _tests: tuple[Callable[[_Version], bool], ...]

    @classmethod
    def of(cls, text: object) -> Self:
        """Parse *text*.

        Raises:
            ValueError: It is no range of versions.
        """
        if not isinstance(text, str):
            raise ValueError(f"expected a range of versions such as '>=1.0,<2', got {text!r}")
        return cls(text, tuple(_test(part.strip()) for part in text.split(",")))

    def __contains__(self, version: str) -> bool:
        """Whether *version* is in it; what is no version is not. Pre-releases may be."""
        try:
            parsed = _Version.of(version)
        except ValueError:
            return False
        return all(test(parsed) for test in self._tests)


def _test(clause: str) -> Callable[[_Version], bool]:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        msg = f"expected a range of versions such as '>=1.0,<2', got {clause!r}"
        raise ValueError(msg)
    sign, limit, wild = match[1], _Version.of(match[2]), match[3]
    parts = limit.written
    if wild:
        if sign not in {"==", "!="} or limit.early or limit.post >= 0:
            raise ValueError(f"{clause!r}: '.*' goes with '==' and '!=', behind a release")
        wanted = sign == "=="
        return lambda version: version.begins_with(parts, limit.epoch) is wanted
    if sign == "~=":
        if len(parts) < 2:
            raise ValueError(f"{clause!r}: '~=' takes two numbers at least")
        return lambda version: (
            version.key >= limit.key and version.begins_with(parts[:-1], limit.epoch)
        )
    return _COMPARISONS[sign](limit)


# "<2" leaves out 2.0rc1, and ">1" leaves out 1.post1 (PEP 440, "Exclusive ordered comparison").
_COMPARISONS: dict[str, Callable[[_Version], Callable[[_Version], bool]]] = {
    "==": lambda limit: lambda version: version.key == limit.key,
    "!=": lambda limit: lambda version: version.key != limit.key,
    "<=": lambda limit: lambda version: version.key <= limit.key,
    ">=": lambda limit: lambda version: version.key >= limit.key,
    "<": lambda limit: lambda version: version.key < limit.begin,
    ">": lambda limit: lambda version: version.key > limit.end,
}
