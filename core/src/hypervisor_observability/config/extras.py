"""Keys that need a package which is not installed with the plugin: its author says so at the key.

``hvobs check`` and ``hvobs doctor`` then report what is missing::

    @frozen
    class Config:
        protocol: str = field(
            default="http",
            metadata=needs("grpc", extra="hypervisor-otel[grpc]", when="grpc"),
        )

``when`` is the value that needs it.
"""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from attrs import frozen

from .class_fields import holds_settings, setting_fields

_NEEDS = "hypervisor_observability.needs"


@frozen
class Need:
    """What a key needs.

    Attributes:
        modules: Which have to be there.
        extra: What brings them, such as ``hypervisor-otel[grpc]``.
        when: With this value.
    """

    modules: tuple[str, ...]
    extra: str
    when: object

    def problem(self, value: object) -> str | None:
        """Say what is missing where the key has this *value*; None: nothing is."""
        if value != self.when:
            return None
        missing = [module for module in self.modules if not is_there(module)]
        if not missing:
            return None
        return f"needs {self.extra}, which is not installed: {missing[0]} is missing"


def needs(*modules: str, extra: str, when: object = True) -> dict[str, Any]:
    """Make the metadata of a field of a ``Config``.

    Args:
        modules: What is imported where the key has that value. They are looked for, not imported.
        extra: What brings them, such as ``hypervisor-otel[grpc]``.
        when: The value that needs them.
    """
    return {_NEEDS: Need(modules, extra, when)}


def missing_extras(settings: object) -> Iterable[tuple[str, str]]:
    """Give the keys of a configuration whose extras are not installed, and what is missing.

    Args:
        settings: An instance of an attrs class or a dataclass; anything else needs nothing.
    """
    kind = type(settings)
    for one in setting_fields(kind) if holds_settings(kind) else ():
        need = one.metadata.get(_NEEDS)
        problem = need.problem(getattr(settings, one.name)) if isinstance(need, Need) else None
        if problem is not None:
            yield one.key, problem


def is_there(module: str) -> bool:
    """Tell whether a module can be imported. It is not, only the packages around it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
