"""Each folder here is tested in the environment that has its framework, and left out of others.

``scripts/test-sources.sh`` makes these environments, ``.cache/sources/NAME`` and ``NAME-oldest``,
and runs the folder ``NAME`` in them. What lies beside the folders is tested like everything else.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENT = Path(sys.prefix).name.removesuffix("-oldest")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    folder = collection_path.relative_to(HERE).parts[0] if HERE in collection_path.parents else ""
    if (HERE / folder / "requirements.txt").exists() and folder != ENVIRONMENT:
        return True
    return None
