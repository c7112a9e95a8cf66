"""Work that another process asked for: below its caller, or beside it with a link."""

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.causality.choices import Accept, IdWidth
from hypervisor_observability.causality.current_trace import current_trace
from hypervisor_observability.causality.propagation import Extracted, extract, inject
from hypervisor_observability.events.event_types import AGENT_FINISHED, EventType
from hypervisor_observability.recorder import Recorder
from hypervisor_observability.spans.assembly import SpanAssembler
from hypervisor_observability.spans.record import FinishedSpan
from hypervisor_observability.tree import render_tree


def sent_by(caller: CausalTraceId, accept: Accept) -> Extracted:
    headers: dict[str, str] = {}
    caller.inject(headers)
    return extract(headers, accept=accept)


def spans_of(bus: HypervisorEventBus) -> list[FinishedSpan]:
    assembler = SpanAssembler()
    return [span for event in bus.all_events for span in assembler.feed(event)]


def test_agent_stands_right_below_a_caller_that_it_continues(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:caller") as caller:
        arrived = sent_by(caller.trace, "continue")
    with recorder.agent("did:called", caller=arrived) as called:
        assert current_trace() == called.trace

    tree = bus.tree(caller.trace.trace_id)
    assert tree.nodes[caller.trace.span_id].children == (called.trace.span_id,)
    assert not any(node.orphan for node in tree.nodes.values())
    assert "caller_trace" not in bus.query_by_type(EventType.SESSION_JOINED)[1].payload


def test_saga_may_be_what_a_caller_asked_for(bus: HypervisorEventBus, recorder: Recorder) -> None:
    caller = CausalTraceId()

    with recorder.saga("payment", caller=sent_by(caller, "continue")) as saga:
        pass

    assert saga.trace.parent_span_id == caller.span_id


def test_linked_caller_is_recorded_drawn_and_a_link_of_the_span(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    caller = CausalTraceId()
    arrived = sent_by(caller, "link")

    with (
        recorder.agent("did:called", caller=arrived) as agent,
        recorder.saga("payment", saga_id="p", caller=sent_by(caller, "link")),
    ):
        pass

    assert agent.trace.trace_id != caller.trace_id
    joined = bus.query_by_type(EventType.SESSION_JOINED)[0]
    assert joined.payload["caller_trace"] == caller.full_id
    text = render_tree(bus.tree(agent.trace.trace_id))
    assert f"agent did:called (called from {caller.trace_id})" in text
    for span in spans_of(bus):
        ((trace_id, span_id, attributes),) = (
            (link.trace_id, link.span_id, link.attributes) for link in span.links
        )
        assert (trace_id, span_id) == caller.to_w3c()
        assert attributes == {"link.type": "caller"}


@pytest.mark.parametrize("text", ["no id", 5, ["a/b"]])
def test_link_that_cannot_be_read_makes_no_link(bus: HypervisorEventBus, text: object) -> None:
    bus.record(EventType.SESSION_JOINED, causal_trace_id="t/s", payload={"caller_trace": text})
    bus.record(AGENT_FINISHED, causal_trace_id="t/s")

    (span,) = spans_of(bus)
    assert span.links == ()


@pytest.mark.parametrize("id_width", ["short", "w3c"])
@pytest.mark.parametrize("accept", ["continue", "link", "restart"])
def test_agents_that_answer_one_request_stand_beside_each_other(
    bus: HypervisorEventBus, recorder: Recorder, accept: Accept, id_width: IdWidth
) -> None:
    with recorder.agent("did:caller") as caller:
        headers: dict[str, str] = {}
        inject(headers)
    arrived = extract(headers, accept=accept, id_width=id_width)
    scope = recorder.agent("did:many", caller=arrived)

    def work(_: int) -> CausalTraceId:
        with scope as agent, recorder.saga("work", caller=arrived) as saga:
            assert saga.trace.span_id != agent.trace.span_id
            assert accept != "continue" or saga.trace.parent_span_id == caller.trace.span_id
            return agent.trace

    with ThreadPoolExecutor(4) as pool:
        traces = list(pool.map(work, range(8)))

    assert len({trace.span_id for trace in traces}) == 8
    assert {len(trace.trace_id) for trace in traces} == {
        len(caller.trace.trace_id) if accept == "continue" else len(arrived.trace.trace_id)
    }
    above = caller.trace.span_id if accept == "continue" else None
    assert {trace.parent_span_id for trace in traces} == {above}
    for trace in traces:
        assert not any(trace.is_ancestor_of(other, strict=True) for other in traces)
        tree = bus.tree(trace.trace_id)
        assert not any(node.orphan or node.second_root for node in tree.nodes.values())
    assert accept != "continue" or {trace.depth for trace in traces} == {1}


def test_copies_of_what_arrived_are_equal_and_stand_beside_it(recorder: Recorder) -> None:
    sender = CausalTraceId()
    arrived = sent_by(sender, "continue")
    copies = [deepcopy(arrived), deepcopy(arrived)]  # as other processes get them

    assert copies == [arrived, arrived]
    traces = []
    for one in (*copies, arrived, arrived):
        with recorder.agent("did:a", caller=one) as agent:
            traces.append(agent.trace)
    assert traces[2] == arrived.trace
    assert len({trace.span_id for trace in traces}) == 4
    assert {trace.parent_span_id for trace in traces} == {sender.span_id}
