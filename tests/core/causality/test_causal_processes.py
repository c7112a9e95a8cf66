"""Agents over several processes and transports: the tree of their journal is the truth."""

import json
import os
import sys
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from hypervisor_journal.reading.history import JournalHistory
from hypervisor_observability.tree import build_tree
from tests.commands import run_hvobs
from tests.programs import run

PROGRAM = Path(__file__).with_name("causal_processes.py")
AGENTS, PROCESSES = 500, 3


def load_program() -> Any:
    spec = spec_from_file_location("causal_processes", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.fault("C18")
def test_tree_of_agents_over_processes_and_transports_is_the_truth(tmp_path: Path) -> None:
    program = load_program()
    plan = program.make_plan(AGENTS, PROCESSES, seed=20_261_126)
    transports = Counter(planned.transport for planned in plan)
    assert transports["environment"] == PROCESSES - 1
    assert min(transports["http"], transports["queue"]) > AGENTS / 5
    program.save_plan(plan, tmp_path)
    # A stray id in the environment of the tests must not become the first caller.
    environment = {k: v for k, v in os.environ.items() if not k.upper().startswith("TRACE")}

    command = [sys.executable, PROGRAM, tmp_path, 0]
    ran = run(command, env=environment, timeout=program.TIMEOUT * 2)

    assert (ran.returncode, ran.stderr) == (0, "")
    unread: list[str] = []
    events = [entry.event for entry in JournalHistory(tmp_path / "journal", unread.append).events()]
    assert not unread
    assert len(events) == 2 * AGENTS
    first = next(event for event in events if event.agent_did == "did:test:0")
    assert first.causal_trace_id is not None
    tree = build_tree(events, first.causal_trace_id.partition("/")[0])

    assert len(tree.nodes) == AGENTS
    assert not any(n.orphan or n.forged or n.second_root for n in tree.nodes.values())
    span_of = {
        int(str(node.events[0].agent_did).rpartition(":")[2]): span_id
        for span_id, node in tree.nodes.items()
    }
    assert tree.roots == (span_of[0],)
    # An agent is planned behind its parent, so the sets above it are complete when it is met.
    above: list[set[int]] = []
    for planned in plan:
        above.append(set() if planned.parent < 0 else above[planned.parent] | {planned.parent})
    for agent, ancestors in enumerate(above):
        found = tree.ancestors(span_of[agent])
        assert set(found) == {span_of[number] for number in ancestors}
        assert len(found) == len(ancestors)

    drawn = run_hvobs("tree", "--journal", tmp_path / "journal", "--json")
    (shown,) = json.loads(drawn.stdout)["traces"]
    assert {work["agent_did"] for work in shown["work"]} == {
        f"did:test:{agent}" for agent in range(AGENTS)
    }
    for work in shown["work"]:
        agent = int(work["agent_did"].rpartition(":")[2])
        parent = None if work["parent"] is None else shown["work"][work["parent"]]["agent_did"]
        assert parent == (f"did:test:{plan[agent].parent}" if agent else None)
