"""Ids that are drawn as wide as the W3C's."""

import copy
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from hypervisor_observability import Config, Observability, Recorder
from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.causality.propagation import Propagator, extract
from hypervisor_observability.config import PropagationConfig, load_config
from hypervisor_observability.errors import ConfigError


def test_wide_root_is_a_root_of_wide_ids() -> None:
    root = CausalTraceId.wide()
    child = root.child()

    assert (len(root.trace_id), len(root.span_id)) == (32, 16)
    assert (root.depth, root.parent_span_id, root.orphan_root) == (0, None, False)
    assert root.to_w3c() == (root.trace_id, root.span_id)
    assert len(child.span_id) == 16
    assert child.parent_span_id == root.span_id
    assert root.is_ancestor_of(child, strict=True)
    assert not root.sibling().is_ancestor_of(child)
    assert CausalTraceId.from_string(child.full_id).full_id == child.full_id
    assert CausalTraceId.from_traceparent(child.to_traceparent()).span_id == child.span_id
    assert copy.copy(root) == root


def test_hundred_thousand_wide_ids_are_distinct_and_sampled_by_their_ratio() -> None:
    roots = [CausalTraceId.wide() for _ in range(100_000)]
    sampler = TraceIdRatioBased(0.1)

    kept = sum(
        sampler.should_sample(None, int(root.trace_id, 16), "x").decision is not Decision.DROP
        for root in roots
    )

    assert (
        len({root.trace_id for root in roots}) == len({root.span_id for root in roots}) == 100_000
    )
    assert 9_000 < kept < 11_000


def test_recorder_and_propagator_draw_them_by_choice() -> None:
    recorder = Recorder(HypervisorEventBus(), id_width="w3c")

    with recorder.agent("did:a") as agent, recorder.saga("x") as saga, saga.step("y") as step:
        assert {len(one.trace.span_id) for one in (agent, saga, step)} == {16}
        assert step.trace.trace_id == agent.trace.trace_id
    with CausalTraceId("a1b2c3d4e5f6", "89abcdef").activate(), recorder.agent("did:b") as below:
        assert len(below.trace.span_id) == 8  # a trace that was begun goes on as it is
    assert len(Propagator(id_width="w3c").extract({}).trace.trace_id) == 32
    assert len(extract({"traceparent": "x"}, id_width="w3c").trace.trace_id) == 32


@pytest.mark.parametrize("width", ["W3C", "wide", None, 128])
def test_unknown_width_is_refused_at_once(width: object) -> None:
    for refuses in (
        lambda: Recorder(HypervisorEventBus(), id_width=width),  # type: ignore[arg-type]  # on purpose
        lambda: Propagator(id_width=width),  # type: ignore[arg-type]  # on purpose
        lambda: extract({}, id_width=width),  # type: ignore[arg-type]  # on purpose
    ):
        with pytest.raises(ValueError, match="id_width: expected 'short' or 'w3c'"):
            refuses()


def test_configuration_chooses_width_trust_and_baggage(tmp_path: Path) -> None:
    file = tmp_path / "hypervisor.toml"
    file.write_text(
        '[propagation]\naccept = "continue"\nid_width = "w3c"\nbaggage = ["session.id"]\n'
    )
    observability = Observability(load_config(file))
    headers: dict[str, str] = {}

    with observability.recorder.session("s1"), observability.recorder.agent("did:a") as agent:
        observability.propagator.inject(headers)

    assert len(agent.trace.trace_id) == 32
    assert headers["baggage"] == "session.id=s1"
    arrived = observability.propagator.extract(headers)
    assert arrived.trace.trace_id == agent.trace.trace_id
    assert arrived.baggage == {"session.id": "s1"}
    plain = Observability(Config())
    assert plain.propagator.extract(headers).link is not None
    with plain.recorder.agent("did:a") as agent:
        assert len(agent.trace.trace_id) == 12


def test_mistakes_in_the_configuration_are_told(tmp_path: Path) -> None:
    file = tmp_path / "hypervisor.toml"
    file.write_text(
        '[propagation]\naccept = "trust"\nid_width = "128"\nbaggage = ["session.id", "user"]\n'
    )

    with pytest.raises(ConfigError) as caught:
        load_config(file)

    told = str(caught.value)
    assert "3 problems" in told
    for key in ("propagation.accept", "propagation.id_width", "propagation.baggage"):
        assert key in told
    with pytest.raises(ValueError):
        PropagationConfig(baggage=("user",))
