"""Strict mode: what is recorded is checked at once, and reported at its place in the user's code.

The bus calls it like any subscriber, in the emitting thread, so it costs nothing where it is off.
"""

import os
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterable
from functools import cache, partial
from types import FrameType

from attrs import define, field, frozen

from ..config import Config
from ..errors import StrictWarning
from ..events.event import HypervisorEvent, is_erased
from ..facts.payload_check import payload_problems
from ..facts.payload_facts import GREATEST_RING
from ..facts.payload_keys import PAYLOAD_KEYS
from .plugins import SHIPPED

_MOST_PLACES = 10_000
_OURS = {"hypervisor_observability", *(name.replace("-", "_") for name in SHIPPED.values())}
_LIBRARIES = ("stdlib", "platstdlib", "purelib", "platlib")
_RINGS = frozenset(name for name, key in PAYLOAD_KEYS.items() if key.kind == "ring")


@frozen
class _Place:
    """Where code stands."""

    file: str
    line: int
    module: str

    @classmethod
    def of(cls, frame: FrameType) -> "_Place":
        return cls(
            frame.f_code.co_filename, frame.f_lineno, str(frame.f_globals.get("__name__", ""))
        )


@define(eq=False)
class Strictness:
    """Warns of what is not as the table of payloads has it, and of scopes that nobody enters.

    Each thing is reported once for each place. A warning that a filter turns into an error is
    raised there, each time.

    Attributes:
        max_ring: The outermost ring that there is.
    """

    max_ring: int
    _seen: set[tuple[str, int, str]] = field(factory=set, init=False)

    def check(self, event: HypervisorEvent) -> None:
        """Check an event that the running code has emitted.

        Raises:
            StrictWarning: Something is wrong, and a filter has it raised.
        """
        problems = [*payload_problems(event), *self._rings_beyond(event)]
        if problems:
            place = _place_of(sys._getframe(1))
            for problem in problems:
                kind, key, _ = problem.split(": ", 2)
                self._warn(place, f"{kind}: {key}", problem)

    def watch(self) -> Callable[[], object]:
        """Note where a scope is made; give what reports that nobody has entered it."""
        return partial(self._warn_of_scope, _place_of(sys._getframe(1)))

    def _warn_of_scope(self, place: _Place) -> None:
        message = "a scope was made here and never entered: write 'with' before it to record it"
        try:
            self._warn(place, "scope", message)
        except StrictWarning as error:  # nobody sees where, since it is raised from nowhere
            error.add_note(f"made at {place.file}:{place.line}")
            raise

    def _rings_beyond(self, event: HypervisorEvent) -> Iterable[str]:
        if is_erased(event):
            return
        payload = event.payload
        for key in _RINGS & payload.keys():
            value = payload[key]
            # What is beyond the greatest that any configuration allows was reported before.
            if type(value) is int and self.max_ring < value <= GREATEST_RING:
                kind = event.event_type.value
                yield f"{kind}: {key}: expected an integer from 0 to {self.max_ring}, got {value}"

    def _warn(self, place: _Place, what: str, message: str) -> None:
        seen = (place.file, place.line, what)
        if seen in self._seen:
            return
        # With a registry of its own: this is what says that it was reported.
        warnings.warn_explicit(
            message, StrictWarning, place.file, place.line, place.module, registry={}
        )
        if len(self._seen) < _MOST_PLACES:
            self._seen.add(seen)


@cache
def _not_the_users() -> tuple[str, ...]:
    """Give how the names of files begin that belong to Python or to installed libraries."""
    return (*(f"{sysconfig.get_path(name)}{os.sep}" for name in _LIBRARIES), "<frozen")


def _place_of(frame: FrameType | None) -> _Place:
    """Find the innermost code of the user's own: not ours, and no library's if that can be."""
    others = None
    last = frame
    while frame is not None:
        last = frame
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] not in _OURS:
            if not frame.f_code.co_filename.startswith(_not_the_users()):
                return _Place.of(frame)
            others = others or frame
        frame = frame.f_back
    found = others or last
    return _Place("<unknown>", 0, "") if found is None else _Place.of(found)


def strictness_of(config: Config, strict: bool | None) -> Strictness | None:  # noqa: FBT001 - as it was given
    """Make what checks, where *strict* or else the configuration asks for it."""
    wanted = config.strict if strict is None else strict
    return Strictness(config.metrics.max_ring) if wanted else None
