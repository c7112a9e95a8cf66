"""Events without an extent: every type can be recorded with every key that it has."""

import inspect
from collections.abc import Callable, Iterator

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_observability.recorder import Recorder

TOPICS = ("audit", "liability", "security", "verification", "vfs")


def methods(recorder: Recorder) -> Iterator[tuple[str, Callable[..., HypervisorEvent | None]]]:
    for topic in TOPICS:
        for name, method in inspect.getmembers(getattr(recorder, topic), inspect.ismethod):
            if not name.startswith("_"):
                yield f"{topic}.{name}", method


def value_for(annotation: object) -> object:
    text = str(annotation)
    if "Sequence" in text:
        return [{"agent_did": "did:b"}] if "Mapping" in text else ["did:b"]
    if "Mapping" in text:
        return {"did:b": 1}
    for kind, value in (("bool", True), ("int", 2), ("float", 0.5)):
        if kind in text:
            return value
    return "text"


NAMES = [name for name, _ in methods(Recorder(HypervisorEventBus()))]


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_the_keys_of_the_payload(name: str) -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    method = dict(methods(recorder))[name]
    parameters = inspect.signature(method).parameters.values()
    given = {parameter.name: value_for(parameter.annotation) for parameter in parameters}

    with recorder.session("s"), recorder.agent("did:a") as agent:
        event = method(**given)

    assert event is not None
    topic, _, what = name.partition(".")
    assert event.event_type.value.startswith(topic)
    assert event.agent_did == "did:a"
    assert event.session_id == "s"
    assert event.causal_trace_id == agent.trace.full_id
    payload = dict(event.payload)
    if topic == "vfs":
        assert payload.pop("operation") == what
    assert payload == given


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_known_is_left_out(name: str) -> None:
    method = dict(methods(Recorder(HypervisorEventBus())))[name]
    parameters = inspect.signature(method).parameters.values()
    needed = {
        parameter.name: value_for(parameter.annotation)
        for parameter in parameters
        if parameter.default is parameter.empty
    }

    event = method(**needed)

    assert event is not None
    assert set(event.payload) - {"operation"} == set(needed)


def test_recorder_covers_every_type_but_two(bus: HypervisorEventBus, recorder: Recorder) -> None:
    for _, method in methods(recorder):
        parameters = inspect.signature(method).parameters.values()
        method(**{parameter.name: value_for(parameter.annotation) for parameter in parameters})
    with recorder.session(), recorder.agent("did:a"):
        recorder.ring_assigned(3)
        recorder.breach("shell", ring=3)
        with recorder.elevation(3, 2), recorder.elevation(2, 1) as inner:
            inner.expire()
        with recorder.saga("s") as saga:
            with saga.fan_out() as fan_out, fan_out.branch("b"):
                saga.checkpoint()
            saga.handoff("b", from_agent="did:a", to_agent="did:b")
    for undo in (None, "raises"):
        with pytest.raises(OSError), recorder.saga("s", compensate=True) as saga:
            with saga.step("x", undo=(lambda: 1 / 0) if undo else None), saga.compensate("y"):
                pass
            with saga.step("z"):
                raise OSError

    seen = {event.event_type for event in bus.all_events}
    assert set(EventType) - seen == {EventType.SESSION_ACTIVATED, EventType.SESSION_ARCHIVED}


def test_metrics_read_what_the_topics_record(bus: HypervisorEventBus) -> None:
    registry = MetricsRegistry()
    recorder = Recorder(bus)

    with recorder.session("s"), recorder.agent("did:a"):
        recorder.liability.slashed(1.5, severity="high")
        recorder.vfs.delete("a.txt")
    registry.observe(bus.all_events)

    families = {family.name: family for family in registry.collect()}
    slashes = families["agent_hypervisor_slashes_total"].series
    operations = families["agent_hypervisor_vfs_operations_total"].series
    assert {labels for labels, value in slashes.items() if value} == {("high",)}
    assert {labels for labels, value in operations.items() if value} == {("delete",)}
