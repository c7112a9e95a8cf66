"""Nothing is sent to the vendor of the framework, whatever this machine has in its environment."""

from collections.abc import Iterator

import pytest
from agents import set_trace_processors
from agents.tracing import get_trace_provider


@pytest.fixture(autouse=True)
def _no_exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_AGENTS_DISABLE_TRACING", raising=False)
    set_trace_processors([])
    get_trace_provider().set_disabled(False)
    yield
    set_trace_processors([])
    get_trace_provider().set_disabled(False)
