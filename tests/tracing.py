"""Follows code instruction by instruction."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def traced(step: Callable[[FrameType, str, object], Any]) -> Iterator[None]:
    """Have *step*, a trace function, see the code of a block.

    It asks for instructions as ever, by ``f_trace_opcodes`` of a frame. CPython 3.12 tells none
    unless some frame has asked for them before tracing begins, so one does here.
    """
    sys._getframe().f_trace_opcodes = True
    before = sys.gettrace()
    sys.settrace(step)
    try:
        yield
    finally:
        sys.settrace(before)
