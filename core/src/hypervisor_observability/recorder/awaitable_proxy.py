"""Awaitables of libraries, recorded when they are awaited and otherwise what they were.

Some can be awaited or used in another way, as the requests of HTTP clients can be entered by
``async with``. Python looks special methods up in the class, so each class gets one of ours.
"""

from collections.abc import Callable, Coroutine
from typing import Any

_OF_ALL = frozenset(dir(object)) - {"__eq__", "__hash__", "__repr__", "__str__", "__format__"}
_OUR_OWN = _OF_ALL | {"__await__", "__del__", "__getattr__"}


class AwaitableProxy:
    """Stands for an awaitable; the first time that it is awaited is recorded."""

    __slots__ = ("__weakref__", "_awaited", "_record", "_value")

    def __init__(self, value: Any, record: Callable[[object], Coroutine[Any, Any, Any]]) -> None:
        for name, own in (("_value", value), ("_record", record), ("_awaited", False)):
            object.__setattr__(self, name, own)

    def __await__(self) -> Any:
        if self._awaited:
            return self._value.__await__()
        object.__setattr__(self, "_awaited", True)
        return self._record(self).__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._value, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._value, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._value, name)

    @property  # type: ignore[misc]  # read only, and nobody assigns it
    def __class__(self) -> type:
        return type(self._value)


def proxy_of(value: Any, record: Callable[[object], Coroutine[Any, Any, Any]]) -> AwaitableProxy:
    """Give what stands for *value*; *record*, given that, makes the coroutine that awaits it."""
    kind = type(value)
    special = {
        name: _forwarding(name)
        for name in dir(kind)
        if name.startswith("__") and name.endswith("__") and name not in _OUR_OWN
        if callable(getattr(kind, name, None))
    }
    made: type[AwaitableProxy] = type(
        kind.__name__, (AwaitableProxy,), {"__slots__": (), **special}
    )
    return made(value, record)


def _forwarding(name: str) -> Callable[..., Any]:
    def forward(self: AwaitableProxy, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._value, name)(*args, **kwargs)

    return forward
