"""What a piece of work caused is drawn in the order in which it happened."""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import HypervisorEventBus, Recorder
from hypervisor_observability.causality.trace_tree import TraceTree, build_tree
from hypervisor_observability.tree.text import tree_to_dict


def _tool(recorder: Recorder) -> None:
    with recorder.tool("search"):
        pass


def _model(recorder: Recorder) -> None:
    with recorder.model("small-1"):
        pass


def _elevation(recorder: Recorder) -> None:
    with recorder.elevation(3, 1, reason="pay"):
        _tool(recorder)


_PIECES: Mapping[str, Callable[[Recorder], Any]] = {
    "tool": _tool,
    "model": _model,
    "elevation": _elevation,
    "decision": lambda recorder: recorder.decision(False, tool_name="pay"),
    "breach": lambda recorder: recorder.breach("pay", ring=3, required_ring=1, severity="high"),
    "handoff": lambda recorder: recorder.handoff("b"),
}


@given(st.lists(st.sampled_from(sorted(_PIECES)), max_size=8))
def test_pieces_of_an_agents_work_are_in_the_order_in_which_they_happened(kinds: list[str]) -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    with recorder.agent("did:mesh:a") as agent:
        for kind in kinds:
            _PIECES[kind](recorder)

    tree = build_tree(bus.query(), agent.trace.trace_id)
    work = tree_to_dict(tree)["work"]

    assert [one["kind"] for one in work if one["parent"] == 0] == kinds


def test_nodes_that_were_made_without_positions_are_drawn_too() -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    with recorder.agent("did:mesh:a") as agent:
        _PIECES["breach"](recorder)
        _PIECES["decision"](recorder)

    tree = build_tree(bus.query(), agent.trace.trace_id)
    by_hand = TraceTree(
        tree.trace_id,
        {name: evolve(node, positions=()) for name, node in tree.nodes.items()},
        tree.roots,
    )

    kinds = [one["kind"] for one in tree_to_dict(by_hand)["work"]]
    assert kinds == ["agent", "breach", "decision"]
