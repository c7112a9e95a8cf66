"""A tree of which only some states are drawn."""

import pytest

from hypervisor_observability import HypervisorEventBus, Recorder
from hypervisor_observability.tree import build_tree, render_tree


def drawn(*states: str) -> list[str]:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    with recorder.run("app"):
        with recorder.agent("did:mesh:a", name="a"), recorder.tool("good"):
            pass
        with recorder.agent("did:mesh:b", name="b"):
            with pytest.raises(OSError), recorder.tool("bad"):
                raise OSError("no route")
            with recorder.tool("good"):
                pass
    events = bus.all_events
    tree = build_tree(events, events[0].causal_trace_id or "")
    only = frozenset(states) if states else None
    lines = render_tree(tree, width=80, only=only).split("\n")[1:]  # type: ignore[arg-type]  # words of a test
    return [line[:32].strip(" │├└─") for line in lines]


def test_what_is_in_none_of_the_states_goes_unless_it_leads_to_some() -> None:
    assert drawn("failed") == ["run app", "agent b (did:mesh:b)", "tool bad", "OSError: no route"]
    assert drawn("running") == []
    assert len(drawn()) == 7
