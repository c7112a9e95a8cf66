"""Events as JSON lines: each line is what ``HypervisorEvent.to_dict()`` gives."""

import json
import math
from collections.abc import Iterator
from typing import IO, Any

from attrs import define

from ..events.event import HypervisorEvent

MAX_LINE_BYTES = 1024 * 1024
"""Longest line that is read. An event's payload is cut at construction to far less."""


@define(eq=False)
class EventLines:
    """A file of events, read once; lines that are no events are counted and skipped.

    Attributes:
        file: Where the lines come from.
        events: How many events were read so far.
        bad_lines: How many lines were skipped so far.
        first_bad: The first line that was skipped, counted from 1, and why.
    """

    file: IO[bytes]
    events: int = 0
    bad_lines: int = 0
    first_bad: tuple[int, str] | None = None

    def __iter__(self) -> Iterator[HypervisorEvent]:
        number = 0
        while line := self.file.readline(MAX_LINE_BYTES + 1):
            number += 1
            try:
                event = parse_line(line)
            except ValueError as error:
                self.bad_lines += 1
                if self.first_bad is None:
                    self.first_bad = (number, str(error))
                self._skip_rest(line)
                continue
            if event is not None:
                self.events += 1
                yield event

    def _skip_rest(self, line: bytes) -> None:
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = self.file.readline(MAX_LINE_BYTES + 1)


def parse_line(line: bytes) -> HypervisorEvent | None:
    """Make the event of a line; None of one that is blank.

    Raises:
        ValueError: It is no event.
    """
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"the line is longer than {MAX_LINE_BYTES} bytes")
    line = line.strip()
    if not line:
        return None
    try:
        values = json.loads(line.decode("utf-8"), parse_float=_finite, parse_constant=str)
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8: {error.reason} at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at character {error.colno}") from None
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if not isinstance(values, dict):
        raise ValueError(f"expected a JSON object, got {type(values).__name__}")
    if not isinstance(values.get("payload"), dict | None):
        raise ValueError(f"payload: expected an object, got {type(values['payload']).__name__}")
    return HypervisorEvent.from_dict(values)


def _finite(text: str) -> Any:
    """Keep as text what is no finite number: JSON could not hold it when it is written."""
    value = float(text)
    return value if math.isfinite(value) else text
