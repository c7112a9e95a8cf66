"""The cases: each module prepares one side and measures it, with whatever is installed there.

Times are CPU seconds of the process, unless the measure's name says ``wall`` or ``thread``.
Garbage collection is on.
"""

from collections.abc import Callable
from typing import Protocol

Measures = dict[str, float | str]
"""What one round gives, by name; texts are for comparing both sides' output."""

Measure = Callable[[], Measures]


class Prepare(Protocol):
    """How a case begins: takes options, gives what measures a round."""

    def __call__(self, **options: object) -> Measure: ...
