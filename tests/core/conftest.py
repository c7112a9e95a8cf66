"""A bus, what writes into it, and plugins that are installed for one test."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypervisor_observability import HypervisorEventBus, Recorder
from tests.distributions import plugins_of, write_distribution


@pytest.fixture
def bus() -> HypervisorEventBus:
    return HypervisorEventBus()


@pytest.fixture
def recorder(bus: HypervisorEventBus) -> Recorder:
    return Recorder(bus)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Put a plugin on the path: ``install(name, source)``, in the distribution ``acme-NAME``."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    modules = []

    def put(
        name: str, source: str, *, distribution: str | None = None, value: str = ":Plugin"
    ) -> None:
        distribution = distribution or f"acme-{name}"
        module = distribution.replace("-", "_")
        modules.append(module)
        (site / f"{module}.py").write_text(source)
        write_distribution(site, distribution, plugins_of(**{name: f"{module}{value}"}))

    yield put
    for module in modules:
        sys.modules.pop(module, None)
