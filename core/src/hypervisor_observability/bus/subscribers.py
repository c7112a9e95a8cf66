"""Which handlers are called for which events, and how many of the calls raised."""

from collections.abc import Callable, Mapping

from ..events.event import HypervisorEvent
from ..text.limited_log import LimitedLog
from ..threads.interruptions import is_from_handler

EventHandler = Callable[[HypervisorEvent], object]
Handlers = tuple[EventHandler, ...]


class Subscription:
    """What ``subscribe`` returns: the way to end it."""

    def __init__(self, cancel: Callable[["Subscription"], None]) -> None:
        self._cancel = cancel

    def cancel(self) -> None:
        """Stop calling the handler; calling this again does nothing."""
        self._cancel(self)


class Subscribers:
    """The handlers of a bus.

    Args:
        alone: Does what it is given under the lock that guards the list.
        call_these: Is told after each change which handlers to call for a type, its own before
            those of all types (None: nobody at all), and which for any other type.
        limited_log: Gets a line for each handler that raises.

    Attributes:
        errors: How many calls raised.
    """

    def __init__(
        self,
        alone: Callable[[Callable[[], None]], None],
        call_these: Callable[[Mapping[str, Handlers] | None, Handlers], None],
        limited_log: LimitedLog,
    ) -> None:
        self._alone = alone
        self._call_these = call_these
        self._limited_log = limited_log
        self._changes = 0
        self._subscriptions: dict[Subscription, tuple[str | None, EventHandler]] = {}
        self.errors = 0

    def add(self, event_type: str | None, handler: EventHandler | None) -> Subscription:
        """Add *handler* for the events of a type, None for all types; without one, nothing."""
        subscription = Subscription(self._cancel)
        if handler is None:
            return subscription

        def add() -> None:
            self._subscriptions[subscription] = (event_type, handler)
            self._compile()

        self._alone(add)
        return subscription

    def failed(self, handler: EventHandler, error: Exception) -> None:
        """Count and log that *handler* raised."""
        self.errors += 1
        try:
            name = str(handler.__qualname__)
        except Exception as fault:  # an object that can be called, with attributes of its own
            if is_from_handler(fault):
                raise
            name = type(handler).__name__
        self._limited_log.warning(f"handler {name}", "subscriber %s raised", name, error=error)

    def _cancel(self, subscription: Subscription) -> None:
        def remove() -> None:
            self._subscriptions.pop(subscription, None)
            self._compile()

        self._alone(remove)

    def _compile(self) -> None:
        """Work out whom to call for which type. The dict is replaced, never changed."""
        self._changes += 1
        changes = self._changes
        pairs = list(self._subscriptions.values())
        wildcards = tuple(handler for wanted, handler in pairs if wanted is None)
        handlers = {
            name: tuple(handler for wanted, handler in pairs if wanted == name) + wildcards
            for name in dict.fromkeys(wanted for wanted, _ in pairs if wanted is not None)
        }
        # A finaliser or signal handler may have subscribed or cancelled in the meantime.
        if changes == self._changes:
            self._call_these(handlers or ({} if wildcards else None), wildcards)
