"""The framework is there, and a program that uses it runs under ``hvobs run``."""

from pathlib import Path

from tests.frameworks import install_acme
from tests.sources.seen import see

PROGRAM = """
from langchain_core.messages import HumanMessage
from acme_agents import Agent

print(Agent("a", lambda **given: HumanMessage(given["city"]).content).run(city="Oslo"))
"""

EMITTED = "agent_hypervisor_observability_events_emitted_total"


def test_program_that_uses_the_framework_is_seen(tmp_path: Path) -> None:
    install_acme(tmp_path)
    seen = see(tmp_path, PROGRAM, config="[plugins.acme]\n", environ={"PYTHONPATH": str(tmp_path)})

    assert (seen.exit_code, seen.stdout) == (0, "Oslo\n"), seen.stderr
    (used,) = seen.of_type("acme.agent_used")
    assert used["agent_did"] == "did:acme:a"
    assert "did:acme:a" in seen.tree
    assert [span.name for span in seen.spans] == ["invoke_agent a"]
    assert seen.metric(EMITTED, event_type="acme.agent_used") == 1
