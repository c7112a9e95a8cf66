"""Code that was written for the published package goes on working."""

import copy
import dataclasses
import sys
import uuid
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hypervisor_observability
from hypervisor_observability import (
    CausalTraceId,
    EventType,
    HypervisorEvent,
    HypervisorEventBus,
    SagaSpanRecord,
)
from hypervisor_observability.host.discovery import installed_plugins
from tests.distributions import plugins_of, write_distribution
from tests.programs import run, run_python

MODULES = {
    "event_bus": ["DEFAULT_MAX_EVENTS", "EventType", "HypervisorEvent", "HypervisorEventBus"],
    "causal_trace": ["CausalTraceId"],
    "prometheus_collector": [
        "METRIC_RING_TRANSITIONS_TOTAL", "METRIC_RING_BREACHES_TOTAL", "METRIC_RING_CURRENT",
        "METRIC_RING_ELEVATION_DURATION", "PrometheusExporterProtocol", "RingMetricsCollector",
    ],
    "saga_span_exporter": ["SagaSpanExporter", "SagaSpanRecord", "SpanSink"],
}  # fmt: skip
EVENT = HypervisorEvent(
    event_id="e1",
    event_type=EventType.VFS_WRITE,
    timestamp=datetime(2026, 1, 2, 3, tzinfo=UTC),
    session_id="s",
    agent_did="did:a",
    causal_trace_id="t/s",
    parent_event_id="e0",
    payload={"path": "/a", "deep": [1, {"b": (2, 3)}]},
)


@pytest.mark.parametrize("module", MODULES)
def test_modules_of_the_published_package_can_be_imported(module: str) -> None:
    found = import_module(f"hypervisor.observability.{module}")

    for name in MODULES[module]:
        assert name in found.__all__
        ours = getattr(hypervisor_observability, name, None)
        assert ours is None or getattr(found, name) is ours


def test_module_that_nobody_has_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"hypervisor\.observability\.nothing"):
        import_module("hypervisor.observability.nothing")


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(HypervisorEvent)])
def test_any_field_of_an_event_can_be_replaced(name: str) -> None:
    changed: Any = {
        "event_type": EventType.VFS_DELETE,
        "timestamp": datetime(2027, 1, 1, tzinfo=UTC),
        "payload": {"path": "/b"},
    }.get(name, "other")
    made = EVENT.replace(**{name: changed})

    assert made.to_dict() == HypervisorEvent(**{**fields_of(EVENT), name: changed}).to_dict()
    assert dataclasses.replace(EVENT, **{name: changed}).to_dict() == made.to_dict()  # type: ignore[type-var]  # a dataclass at run time
    assert attrs.evolve(EVENT, **{name: changed}).to_dict() == made.to_dict()
    if sys.version_info >= (3, 13):
        assert copy.replace(EVENT, **{name: changed}).to_dict() == made.to_dict()


def fields_of(event: HypervisorEvent) -> dict[str, Any]:
    return {field.name: getattr(event, field.name) for field in attrs.fields(HypervisorEvent)}


def test_replacing_keeps_the_time_to_the_nanosecond() -> None:
    event = HypervisorEvent()
    made = event.replace(agent_did="did:b")

    assert (made.timestamp_ns, made.event_id) == (event.timestamp_ns, event.event_id)
    assert event.agent_did is None


def test_replacing_what_is_no_field_says_so() -> None:
    with pytest.raises(TypeError, match="nothing"):
        EVENT.replace(nothing=1)  # type: ignore[call-arg]  # what is tested
    with pytest.raises(ValueError, match="naive"):
        EVENT.replace(timestamp=datetime(2026, 1, 1))  # noqa: DTZ001 - what is tested


@pytest.mark.parametrize(
    "value",
    [
        EVENT,
        CausalTraceId("a1b2c3d4e5f6", "01234567"),
        SagaSpanRecord("saga.step.a", "g", "s", "a", 1.0, 2.0, "ok", {"a": 1}),
    ],
)
def test_functions_of_dataclasses_take_what_were_dataclasses(value: Any) -> None:
    names = [field.name for field in attrs.fields(type(value))]
    known = dataclasses.is_dataclass(value)

    assert known
    assert [field.name for field in dataclasses.fields(value)] == names
    assert list(dataclasses.asdict(value)) == names
    assert dataclasses.astuple(value)[0] == getattr(value, names[0])
    assert dataclasses.replace(value) == value


def test_event_as_a_dict_has_its_payload() -> None:
    assert dataclasses.asdict(EVENT)["payload"] == EVENT.payload  # type: ignore[call-overload]  # a dataclass at run time
    assert dataclasses.asdict(EVENT)["event_type"] is EventType.VFS_WRITE  # type: ignore[call-overload]  # a dataclass at run time


@given(trace=st.uuids(), span=st.uuids(), parent=st.none() | st.uuids())
def test_ids_that_are_uuids_are_taken(
    trace: uuid.UUID, span: uuid.UUID, parent: uuid.UUID | None
) -> None:
    ours = CausalTraceId(str(trace), str(span), None if parent is None else str(parent))

    assert CausalTraceId.from_string(ours.full_id).full_id == ours.full_id
    assert CausalTraceId.from_traceparent(ours.to_traceparent()).to_traceparent()
    assert ours.child().trace_id == str(trace)


def test_trace_of_uuids_is_drawn_as_a_tree(bus: HypervisorEventBus) -> None:
    trace = CausalTraceId(str(uuid.uuid4()), str(uuid.uuid4()))
    bus.record(EventType.VFS_WRITE, agent_did="did:a", causal_trace_id=trace.full_id)
    bus.record(EventType.VFS_DELETE, agent_did="did:b", causal_trace_id=trace.child().full_id)

    assert len(bus.tree(trace.trace_id).roots) == 1


@pytest.mark.slow
def test_documented_calls_pass_a_strict_type_checker(tmp_path: Path) -> None:
    for module in ("hypervisor.observability", "hypervisor_observability"):
        (tmp_path / "user.py").write_text(
            "import attrs\n"
            f"from {module} import CausalTraceId, EventType, HypervisorEvent\n"
            "event = HypervisorEvent(event_type=EventType.VFS_WRITE)\n"
            "changed: HypervisorEvent = attrs.evolve(event, agent_did='did:a')\n"
            "again: HypervisorEvent = changed.replace(payload={'a': 1}, timestamp=1.5)\n"
            "trace: CausalTraceId = attrs.evolve(CausalTraceId(), depth=3)\n"
        )
        command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--cache-dir"]
        done = run([*command, tmp_path / "cache", "user.py"], cwd=tmp_path, timeout=300)

        assert done.returncode == 0, done.stdout


def test_dataclasses_is_not_needed_by_the_import() -> None:
    code = (
        "import sys; import hypervisor_observability as h;"
        "before = 'dataclasses' in sys.modules; h.HypervisorEvent.__dataclass_fields__;"
        "print(before, 'dataclasses' in sys.modules)"
    )
    done = run_python(code, check=True)

    assert done.stdout.split()[1] == "True"


def test_distribution_that_is_spelt_in_two_ways_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(["Acme_Hv.Plugin", "acme-hv-plugin"]):
        site, plugins = tmp_path / str(number), plugins_of(acme="acme:Plugin")
        write_distribution(site, name, plugins, version=f"1.{number}")
        monkeypatch.syspath_prepend(str(site))
    found = installed_plugins()["acme"]

    assert [one.distribution for one in found] == ["acme-hv-plugin"]
