"""``hvobs demo --agents`` runs its agents in LangGraph, which the source sees."""

import re
from pathlib import Path

import pytest

from hypervisor_observability.cli.demo.desk.run import serve
from tests.commands import run_hvobs
from tests.configurations import write_config
from tests.plugins.otel import acts
from tests.plugins.otel.fake_backend import FakeBackend


def tree_of(output: str) -> list[str]:
    """Give the lines of a tree without its id, the times, and who noticed a handoff."""
    drawn = output.partition("\ntrace ")[2].partition("\n\n")[0]
    lines = re.sub(r" +\d+ (us|ms) ", " ", drawn).splitlines()[1:]
    return [line.replace(" (by triage)", "") for line in lines]


def test_agents_run_in_langgraph_and_are_seen_as_those_in_our_own_terms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the journal is made there
    graph = run_hvobs("demo", "--agents")
    monkeypatch.setattr("hypervisor_observability.cli.demo.desk.run.installed_plugins", dict)
    plain = run_hvobs("demo", "--agents")

    assert (graph.exit_code, plain.exit_code) == (0, 0)
    assert "the agents run in LangGraph" in graph.stderr
    assert "the agents run in plain Python" in plain.stderr
    # LangChain says that a tool was refused; why is content.
    told = "refund is for billing alone"
    assert len(tree_of(graph.stdout)) > 10
    assert tree_of(graph.stdout) == [
        line.replace(told, "refused") for line in tree_of(plain.stdout)
    ]


def test_content_of_a_configuration_is_kept_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_config('[plugins.langchain]\ncontent = "all"\n[plugins.journal]\ndirectory = "journal"\n')
    result = run_hvobs("demo", "--agents", "--config", "hypervisor.toml")

    assert result.exit_code == 0, result.output
    assert "42.00 EUR, delivered" in run_hvobs("query", "--json").stdout


def test_nothing_leaves_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = FakeBackend((acts.answering(200),))
    backend.start()
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGSMITH_API_KEY", "none")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", backend.endpoint)
    try:
        served = serve(lambda _: None)
    finally:
        backend.stop()

    assert served.events
    assert backend.connections == 0


def test_source_that_is_down_has_the_agents_run_in_our_own_terms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hypervisor_langchain.LangChainSource.supports", ">=99")
    said: list[str] = []
    served = serve(said.append)

    assert "plain Python: langchain is down" in said[0]
    assert served.answer == "Your 42.00 EUR are on their way."
