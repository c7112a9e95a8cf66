"""A folder to work in."""

from pathlib import Path

import pytest


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, without variables of ours."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for name in ("CONFIG", "DISABLED", "PLUGINS_DIR"):
        monkeypatch.delenv(f"HYPERVISOR_OBSERVABILITY_{name}", raising=False)
