"""Another name for ``hypervisor_observability``: the one that agent-hypervisor's users know.

A single module file and no package, so that it shares no file with the ``hypervisor`` package
of agent-hypervisor. Where that is installed it owns this name; ``hvobs doctor`` tells. The
folder of the same name holds nothing but the mark for type checkers (PEP 561).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypervisor_observability as _implementation

if TYPE_CHECKING:
    from hypervisor_observability import *  # noqa: F403 - the same names, all of them

__all__ = list(_implementation.__all__)
# The modules that the published package has below this name are found there.
__path__ = [str(Path(_implementation.__file__).parent / "published")]


def __getattr__(name: str) -> Any:
    return getattr(_implementation, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
