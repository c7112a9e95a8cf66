"""What a question that nothing matches is answered with."""

from hypervisor_observability import HypervisorEventBus, Recorder
from hypervisor_observability.cli.no_match import explain
from hypervisor_observability.search.choice import Choice


def test_agent_whose_name_is_its_did_is_suggested_once() -> None:
    bus = HypervisorEventBus()
    for name in ("triager", "refunder"):
        with Recorder(bus).agent(name, name=name):
            pass

    told = explain(Choice(agent="zzz"), bus.all_events)

    assert told == ["no agent has the DID or name 'zzz' (there are: triager, refunder)"]
