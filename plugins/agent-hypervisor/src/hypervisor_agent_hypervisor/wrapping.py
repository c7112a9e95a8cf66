"""Put a function of ours around a method of theirs, and take it away again.

The method keeps its signature, what it returns and raises, and whether it is a coroutine function.
It is replaced in the ``__dict__`` of the very class that defines it, so that overriding methods
reach it by ``super()`` and no inherited method becomes a class's own.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial, wraps
from time import perf_counter
from typing import Any

from attrs import frozen


class Call:
    """One call of a wrapped method.

    Attributes:
        target: Whose method it is.
        given: The arguments by name, with the defaults of those that were not given.
        before: What was noted before it.
        result: What it returned; None: nothing yet.
        error: What it raised; None: nothing.
        seconds: How long it took.
    """

    __slots__ = ("before", "error", "given", "result", "seconds", "target")

    def __init__(
        self,
        names: tuple[str, ...],
        defaults: Mapping[str, Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        # Binding the signature at each call would cost more than all the rest.
        given = dict(zip(names, args, strict=False))
        if kwargs or defaults:
            given = {**defaults, **given, **kwargs}
        self.target: Any = given.pop(names[0], None)
        self.given = given
        self.before: Any = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.seconds = 0.0

    def raised(self, *names: str) -> bool:
        """Tell whether it raised an exception of a class of one of those *names*."""
        return any(one.__name__ in names for one in type(self.error).__mro__)


Watch = Callable[[Call], Any]
Calls = Callable[[tuple[Any, ...], Mapping[str, Any]], Call]


@frozen
class Watches:
    """Who is told of the calls of a method. None of them raises.

    Attributes:
        before: Told before the call.
        after: Told when it has returned.
        raised: Told when it has raised.
    """

    before: Watch | None = None
    after: Watch | None = None
    raised: Watch | None = None


def wrapped(plain: Callable[..., Any], watches: Watches) -> Callable[..., Any]:
    """Give *plain* with *watches* around it.

    Raises:
        TypeError, ValueError: It has no signature, or none with an object that it belongs to.
    """
    parameters = list(inspect.signature(plain).parameters.values())
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = tuple(one.name for one in parameters if one.kind in positional)
    if not names:
        raise TypeError(f"{plain!r} takes no object")
    defaults = {one.name: one.default for one in parameters if one.default is not one.empty}
    around = _awaiting if inspect.iscoroutinefunction(plain) else _calling
    return around(plain, watches, partial(Call, names, defaults))


def _calling(plain: Callable[..., Any], watches: Watches, call_of: Calls) -> Callable[..., Any]:
    before, after = watches.before, watches.after

    @wraps(plain)
    def calling(*args: Any, **kwargs: Any) -> Any:
        call = call_of(args, kwargs)
        if before is not None:
            before(call)
        began = perf_counter()
        try:
            result = plain(*args, **kwargs)
        except BaseException as error:
            _tell_of_error(watches, call, began, error)
            raise
        if after is not None:
            call.seconds = perf_counter() - began
            call.result = result
            after(call)
        return result

    return calling


def _awaiting(plain: Callable[..., Any], watches: Watches, call_of: Calls) -> Callable[..., Any]:
    before, after = watches.before, watches.after

    @wraps(plain)
    async def awaiting(*args: Any, **kwargs: Any) -> Any:
        call = call_of(args, kwargs)
        if before is not None:
            before(call)
        began = perf_counter()
        try:
            result = await plain(*args, **kwargs)
        except BaseException as error:
            _tell_of_error(watches, call, began, error)
            raise
        if after is not None:
            call.seconds = perf_counter() - began
            call.result = result
            after(call)
        return result

    return awaiting


def _tell_of_error(watches: Watches, call: Call, began: float, error: BaseException) -> None:
    if watches.raised is None:
        return
    call.seconds = perf_counter() - began
    call.error = error
    try:
        watches.raised(call)
    finally:
        call.error = None  # or the error's traceback would keep the error alive


@frozen(eq=False)
class Patch:
    """A method that was replaced.

    Attributes:
        owner: The class that defines it.
        name: Of the method.
        plain: What stood there.
        ours: What stands there now.
    """

    owner: type
    name: str
    plain: Any
    ours: Any

    def take_back(self) -> None:
        """Put back what stood there, unless somebody has put something else there since."""
        if vars(self.owner).get(self.name) is self.ours:
            setattr(self.owner, self.name, self.plain)


def patch(owner: type, name: str, watches: Watches) -> Patch | None:
    """Replace a method by itself with *watches* around it; None: *owner* does not define it."""
    plain = vars(owner).get(name)
    if not callable(plain) or not hasattr(type(plain), "__get__"):
        return None
    try:
        ours = wrapped(plain, watches)
    except (TypeError, ValueError):  # nothing that could be called as a method
        return None
    setattr(owner, name, ours)
    return Patch(owner, name, plain, ours)
