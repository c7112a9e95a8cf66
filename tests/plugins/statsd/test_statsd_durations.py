"""What is told of how long work took."""

import pytest

from hypervisor_observability import FinishedSpan, SpanStatus
from hypervisor_statsd import DurationType, TagDialect
from hypervisor_statsd.durations import Durations
from hypervisor_statsd.lines import LineFormat

FORMAT = LineFormat()


def span(scope: str = "agent", *, number: int = 2, action: str | None = None) -> FinishedSpan:
    return FinishedSpan(
        name="work",
        trace_id="1" * 32,
        span_id=f"{number:016x}",
        parent_span_id=None,
        start_ns=1_000_000_000,
        end_ns=1_002_500_000,
        status=SpanStatus.OK,
        attributes={} if action is None else {"agent.saga.step_action": action},
        scope=scope,
    )


def texts(durations: Durations, *spans: FinishedSpan) -> list[str]:
    return [text for text, *_ in durations.lines(spans)]


@pytest.mark.parametrize(
    ("scope", "timer"),
    [
        ("saga", "agent_hypervisor.saga"),
        ("step", "agent_hypervisor.saga.step"),
        ("compensation", "agent_hypervisor.saga.compensation"),
        ("fanout", "agent_hypervisor.saga.fanout"),
        ("agent", "agent_hypervisor.agent"),
        ("session", "agent_hypervisor.session"),
    ],
)
def test_duration_is_told_in_milliseconds(scope: str, timer: str) -> None:
    assert texts(Durations(FORMAT), span(scope)) == [f"{timer}:2.5|ms|#status:ok"]


def test_decision_is_at_one_moment_and_no_duration() -> None:
    durations = Durations(FORMAT, sample_rate=1e-9)

    assert texts(Durations(FORMAT), span("decision"), span("agent", number=3)) == [
        "agent_hypervisor.agent:2.5|ms|#status:ok"
    ]
    durations.settle([span("decision")])
    assert durations.sampled_out == 0


def test_action_of_a_step_is_a_tag() -> None:
    validate = span("step", action="validate")

    assert texts(Durations(FORMAT), validate) == [
        "agent_hypervisor.saga.step:2.5|ms|#action:validate,status:ok"
    ]


@pytest.mark.parametrize(
    ("type_", "letter"), [("timer", "ms"), ("histogram", "h"), ("distribution", "d")]
)
def test_duration_has_the_type_that_the_table_says(type_: str, letter: str) -> None:
    durations = Durations(FORMAT, DurationType(type_))

    assert texts(durations, span()) == [f"agent_hypervisor.agent:2.5|{letter}|#status:ok"]


@pytest.mark.parametrize(
    ("tags", "line"),
    [
        (TagDialect.DOGSTATSD, "agent_hypervisor.agent:2.5|ms|@0.999|#status:ok"),
        (TagDialect.INFLUX, "agent_hypervisor.agent,status=ok:2.5|ms|@0.999"),
        (TagDialect.NONE, "agent_hypervisor.agent.ok:2.5|ms|@0.999"),
    ],
)
def test_rate_is_told_with_each(tags: TagDialect, line: str) -> None:
    assert texts(Durations(LineFormat("", tags), sample_rate=0.999), span()) == [line]


def test_rate_chooses_its_share_and_counts_the_rest() -> None:
    durations = Durations(FORMAT, sample_rate=0.25)
    spans = [span(number=number) for number in range(4_000)]

    told = len(durations.lines(spans))
    durations.settle(spans)

    assert 850 < told < 1_150
    assert durations.sampled_out == 4_000 - told


def test_rate_chooses_the_same_ones_when_they_are_offered_again() -> None:
    spans = [span(number=number) for number in range(100)]
    durations = Durations(FORMAT, sample_rate=0.5)

    assert texts(durations, *spans) == texts(durations, *spans)
    assert durations.sampled_out == 0


def test_what_was_told_is_not_told_again_with_the_same_batch() -> None:
    durations = Durations(FORMAT)
    spans = [span(number=number) for number in range(3)]
    _, series, told = durations.lines(spans)[0]
    assert series is not None
    series.told = told

    assert [line[1].span_id for line in zip(durations.lines(spans), spans[1:], strict=True)] == [
        "0000000000000001",
        "0000000000000002",
    ]
    durations.settle(spans)
    assert len(durations.lines(spans)) == 3
