"""The journal holds what every store must."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hypervisor_journal import JournalConfig, JournalPlugin
from hypervisor_observability.testing import StoreContract


@contextmanager
def reads_fail(below: Path) -> Iterator[None]:
    """Have opening for reading, and listing, fail below a folder: too many open files."""
    with pytest.MonkeyPatch.context() as patch:

        def failing(call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(path: Any = ".", *arguments: Any, **options: Any) -> Any:
                flags = arguments[0] if arguments and isinstance(arguments[0], int) else 0
                reads = call is not os.open or not flags & (os.O_WRONLY | os.O_RDWR)
                if reads and isinstance(path, str | Path) and below in Path(path).parents:
                    raise OSError(24, "Too many open files", str(path))
                return call(path, *arguments, **options)

            return wrapped

        for name in ("open", "scandir", "listdir"):
            patch.setattr(os, name, failing(getattr(os, name)))
        yield


class TestJournalStore(StoreContract):
    def plugin(self, place: Path) -> object:
        return JournalPlugin(JournalConfig(directory=place, segment_bytes=65_536))

    def unreadable(self, place: Path) -> AbstractContextManager[None]:
        return reads_fail(place)
