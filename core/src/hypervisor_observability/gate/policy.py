"""What of payloads a plugin sees."""

from collections.abc import Iterable

from attrs import frozen

from ..events.event import HypervisorEvent, with_payload


@frozen
class PayloadPolicy:
    """The keys of payloads that go out.

    Attributes:
        keys: Top-level keys; None: all.
    """

    keys: frozenset[str] | None

    @classmethod
    def of(cls, setting: str | Iterable[str]) -> "PayloadPolicy":
        """Make the policy that ``payload = ...`` asks for.

        Raises:
            ValueError: It is neither ``"all"`` nor ``"none"`` nor keys.
        """
        if setting == "all":
            return cls(None)
        if setting == "none":
            return cls(frozenset())
        if isinstance(setting, str):
            raise ValueError(f"payload: expected 'all', 'none' or a list of keys, got {setting!r}")
        return cls(frozenset(setting))

    def apply(self, event: HypervisorEvent) -> HypervisorEvent:
        """Give *event* with what may go out of its payload."""
        if self.keys is None or not event.payload:
            return event
        shown = {key: value for key, value in event.payload.items() if key in self.keys}
        return event if len(shown) == len(event.payload) else with_payload(event, shown)
