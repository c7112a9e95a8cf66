"""Another name for ``hypervisor_observability``: the one that agent-hypervisor's users know.

A single module file and no package, so that it shares no file with the ``hypervisor`` package
of agent-hypervisor. Where that is installed it owns this name; ``hvobs doctor`` tells.
"""

from typing import TYPE_CHECKING, Any

import hypervisor_observability as _implementation

if TYPE_CHECKING:
    from hypervisor_observability import *  # noqa: F403 - the same names, all of them

__all__ = list(_implementation.__all__)
# A package without modules: "import hypervisor.observability.x" then says that there is no
# such module, instead of that this one is no package.
__path__: list[str] = []


def __getattr__(name: str) -> Any:
    return getattr(_implementation, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
