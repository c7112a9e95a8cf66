"""A report draws the trees of the worst and the newest traces, and links to them."""

import html
import re
import shlex
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import pytest
from attrs import evolve

from hypervisor_observability import HypervisorEvent, HypervisorEventBus, Recorder
from hypervisor_observability.causality.traceparent import widen_trace
from hypervisor_observability.events.event_types import TOOL_FINISHED, TOOL_STARTED
from hypervisor_observability.report import Findings, report_page
from hypervisor_observability.report.kept_traces import (
    MOST_EVENTS,
    MOST_NEWEST,
    MOST_WORST,
    KeptTraces,
)
from hypervisor_observability.report.trees_page import MOST_ROWS_OF_A_TREE, Addresses


@pytest.fixture
def bus() -> HypervisorEventBus:
    return HypervisorEventBus()


@pytest.fixture
def recorder(bus: HypervisorEventBus) -> Recorder:
    return Recorder(bus)


def page_of(bus: HypervisorEventBus) -> str:
    return report_page(Findings.of(bus.all_events), "j")


def section(page: str, title: str) -> str:
    """Give the text of a section, without its elements."""
    body = page.partition(f"<h2>{title}</h2>")[2].partition("</section>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def fail(recorder: Recorder, agent: str, *, times: int = 1) -> None:
    with recorder.agent(agent):
        for number in range(times):
            with suppress(ValueError), recorder.tool("search"):
                raise ValueError(f"page {number} is empty")


def test_worst_trace_is_drawn_as_a_tree_with_the_reason(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    fail(recorder, "did:once")
    with recorder.agent("did:fine"):
        pass
    fail(recorder, "did:often", times=3)
    worst = section(page_of(bus), "Traces in which most went wrong")

    assert re.search(r"agent did:often .* tool search .* FAILED .*page 0 is empty", worst)
    assert worst.index("did:often") < worst.index("did:once")
    assert "did:fine" not in worst


def test_other_newest_traces_are_drawn_newest_first(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    for number in range(MOST_NEWEST + 2):
        with recorder.agent(f"did:{number}"):
            pass
    page = page_of(bus)
    newest = section(page, "Newest traces")
    names = re.findall(r"agent did:(\d)", newest)

    assert names == [f"{one}" for one in range(MOST_NEWEST + 1, 1, -1)]
    assert "Traces in which most went wrong" not in re.findall("<h2>(.*?)</h2>", page)


def test_sagas_breaches_errors_and_agents_lead_to_the_tree(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with suppress(ValueError), recorder.agent("did:lead") as lead, recorder.saga("order") as saga:
        recorder.breach("shell_exec", ring=3, severity="high", required_ring=0)
        with saga.step("pay"):
            raise ValueError("the bank does not answer")
    page = page_of(bus)
    (trace_id,) = {str(one.causal_trace_id).partition("/")[0] for one in bus.all_events}
    link = f'<a href="#t1">trace {trace_id}</a>'

    assert lead is not None
    assert f'id="t1"><h3>trace {trace_id}' in page
    for title in ("Errors", "Agents", "Saga timeline", "Newest breaches"):
        body = page.partition(f"<h2>{title}</h2>")[2].partition("</section>")[0]
        assert link in body, title
    assert "step pay : in 1 trace ValueError: the bank does not answer" in section(page, "Errors")


def test_trace_in_both_of_its_forms_is_one_tree(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    fail(recorder, "did:a")
    # As after a way through a service that knows W3C's form alone.
    *first, last = bus.all_events
    trace_id, _, rest = str(last.causal_trace_id).partition("/")
    wide = evolve(last, causal_trace_id=f"{widen_trace(trace_id)}/{rest}")
    findings = Findings.of([*first, wide])

    assert [one.trace_id for one in findings.traces.worst()] == [trace_id]
    assert findings.traces.newest() == []
    assert findings.traces.worst()[0].events == [*first, wide]


def test_what_is_not_drawn_is_named_for_the_command_line(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:early"), recorder.saga("early"):
        pass
    early = str(bus.all_events[0].causal_trace_id).partition("/")[0]
    for number in range(MOST_NEWEST):
        with recorder.agent(f"did:{number}"):
            pass

    assert f"hvobs tree {early}" in section(page_of(bus), "Saga timeline")


@pytest.mark.parametrize("trace", ["$(reboot)", "a; reboot", "`id`", "'q", "-rf", "x" * 300])
def test_command_on_the_page_is_safe_to_paste_and_names_the_trace(trace: str) -> None:
    (shown,) = re.findall(">(hvobs tree [^<]*)<", Addresses().link(trace))
    words = shlex.split(html.unescape(shown))
    options = ["--"] if trace.startswith("-") else []

    assert words[:-1] == ["hvobs", "tree", *options]
    assert trace.startswith(words[-1])
    assert shlex.join(words) == html.unescape(shown)  # a shell expands nothing in it


def test_error_counts_once_however_many_scopes_it_passes(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    for _ in range(2):
        with suppress(ValueError), recorder.run("answer"), recorder.agent("did:a"):
            with recorder.tool("search"):
                raise ValueError("no net")
    errors = Findings.of(bus.all_events).activity.errors

    ((text, story),) = errors.by_text.items()
    assert text == "ValueError: no net"
    assert (story.arose, story.traces) == ("tool search", "2")


def test_large_tree_leaves_out_first_what_went_well(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:lead"):
        for number in range(100):
            with recorder.tool(f"fine-{number}"):
                pass
        with suppress(ValueError), recorder.tool("broken"):
            raise ValueError
    worst = section(page_of(bus), "Traces in which most went wrong")

    assert "tool broken" in worst
    left_out = 102 - MOST_ROWS_OF_A_TREE
    assert f"{left_out} of 102 pieces of work are left out. hvobs tree" in worst


def test_long_trace_is_cut_by_its_pieces_of_work(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:lead"):
        for _ in range(MOST_EVENTS):
            with recorder.tool("search"):
                pass
    page = page_of(bus)
    newest = section(page, "Newest traces")

    assert re.search(r"[\d,]+ further events are left out", newest)
    assert "running" not in newest


def test_deep_tree_is_drawn(bus: HypervisorEventBus, recorder: Recorder) -> None:
    def deeper(depth: int) -> None:
        if depth:
            with recorder.agent(f"did:{depth}"):
                deeper(depth - 1)

    deeper(40)
    page = page_of(bus)

    assert "agent did:1 " in section(page, "Newest traces")
    assert page.count("<ul") == page.count("</ul>")


def endless_traces(payload: str) -> Iterator[HypervisorEvent]:
    for number in range(5_000):
        causal = f"{number:012x}/{number:08x}"
        for kind, more in ((TOOL_STARTED, {}), (TOOL_FINISHED, {"result": payload})):
            yield HypervisorEvent(
                event_type=kind, causal_trace_id=causal, payload={"tool_name": "t", **more}
            )


@pytest.mark.parametrize("characters", [1, 10_000])
def test_traces_without_end_take_no_memory_without_end(characters: int) -> None:
    kept = KeptTraces()
    tracemalloc.start()
    try:
        for one in endless_traces("x" * characters):
            # Of its own, as events that are read from a store are.
            kept.take(HypervisorEvent.from_dict(one.to_dict()))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size < 40_000_000
    assert len(kept.newest()) == MOST_NEWEST
    assert kept.newest()[0].trace_id == f"{4_999:012x}"


def test_worst_traces_stay_however_many_come_after_them() -> None:
    kept = KeptTraces()
    bad = HypervisorEvent(
        event_type=TOOL_FINISHED,
        causal_trace_id="bad0bad0bad0/00000001",
        payload={"tool_name": "t", "status": "error"},
    )
    kept.take(bad)
    for one in endless_traces("x" * 10_000):
        kept.take(one)

    assert [one.trace_id for one in kept.worst()] == ["bad0bad0bad0"]
    assert kept.worst()[0].events == [bad]
    assert MOST_WORST > 1


def test_trace_that_was_let_go_does_not_come_back_without_its_beginning() -> None:
    kept = KeptTraces()
    first, *_ = events = list(endless_traces("x" * 10_000))
    for one in events:
        kept.take(one)
    kept.take(first)

    assert kept.newest()[0].trace_id == f"{4_999:012x}"
