"""Attributes of the user's own, which every scope takes and carries to its end."""

from typing import Any, Protocol


class HasAttributes(Protocol):
    """What ``as`` gives of a scope."""

    @property
    def _attributes(self) -> dict[str, object]: ...


def set_attributes(self: HasAttributes, /, **attributes: object) -> None:
    """Add attributes, which are recorded with the end; those of the same name are replaced.

    Args:
        attributes: Scalars; what was given as ``attributes`` stands in the event of the beginning.
    """
    self._attributes.update(attributes)


def attributes_set(subject: HasAttributes) -> dict[str, Any] | None:
    """Give what was set, for the payload of the end; None where that is nothing."""
    found = subject._attributes
    # A copy, taken at once: another thread may go on setting.
    return found.copy() if found else None
