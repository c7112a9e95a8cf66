"""Open spans are found by whatever tells them apart, whenever they are asked for."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.spans.identity import SpanIdentity
from hypervisor_observability.spans.open_span import OpenSpan
from hypervisor_observability.spans.open_spans import OpenSpans

KINDS = st.sampled_from(["agent", "step", "fanout", "elevation", "session"])
NAMES = st.sampled_from(["a", "b", None])
SPANS = st.builds(
    lambda kind, own, part, agent, session, causal, number: OpenSpan(
        (kind, own, part),
        "work",
        SpanIdentity(f"t{number % 2}", f"s{number}", None),
        0,
        agent,
        session,
        causal,
    ),
    KINDS,
    st.sampled_from("xy"),
    st.sampled_from("12"),
    NAMES,
    NAMES,
    NAMES,
    st.integers(0, 9),
)
Asked = tuple[Callable[[OpenSpans], object], Callable[[list[OpenSpan]], object]]


def newest(spans: list[OpenSpan], which: Callable[[OpenSpan], bool]) -> OpenSpan | None:
    return next((span for span in reversed(spans) if which(span)), None)


QUESTIONS: list[Asked] = [
    (lambda spans: spans.of_agent("a"), lambda all_: [one for one in all_ if one.agent_did == "a"]),
    (
        lambda spans: spans.of_session("b"),
        lambda all_: [one for one in all_ if one.session_id == "b"],
    ),
    (
        lambda spans: spans.of_agent_in("agent", "a", None),
        lambda all_: [one for one in all_ if one.key[0] == "agent" and one.agent_did == "a"],
    ),
    (
        lambda spans: spans.newest_at("agent", "a", "b"),
        lambda all_: newest(
            all_, lambda one: (one.key[0], one.agent_did, one.session_id) == ("agent", "a", "b")
        ),
    ),
    (
        lambda spans: spans.newest_named("elevation", "x"),
        lambda all_: newest(all_, lambda one: one.key[:2] == ("elevation", "x")),
    ),
    (
        lambda spans: spans.newest_under("a"),
        lambda all_: newest(all_, lambda one: one.causal == "a"),
    ),
    (
        lambda spans: spans.newest_in_trace("t1"),
        lambda all_: newest(all_, lambda one: one.identity.trace_id == "t1"),
    ),
    (
        lambda spans: spans.with_id("s3"),
        lambda all_: newest(all_, lambda one: one.identity.span_id == "s3"),
    ),
    (
        lambda spans: spans.newest_of_saga("step", "x", "1"),
        lambda all_: newest(all_, lambda one: one.key == ("step", "x", "1")),
    ),
    (
        lambda spans: spans.of_saga("y"),
        lambda all_: [
            one for kind in ("step", "fanout") for one in all_ if one.key[:2] == (kind, "y")
        ],
    ),
    (
        lambda spans: [spans.count(kind) for kind in ("agent", "step", "fanout")],
        lambda all_: [
            sum(one.key[0] == kind for one in all_) for kind in ("agent", "step", "fanout")
        ],
    ),
    (list, list),
]


@given(st.lists(SPANS | st.integers(0, len(QUESTIONS) - 1), max_size=40))
def test_questions_at_any_time_are_answered_as_if_all_spans_were_looked_through(
    steps: list[OpenSpan | int],
) -> None:
    spans, expected = OpenSpans(), list[OpenSpan]()
    for step in [*steps, *range(len(QUESTIONS))]:
        if isinstance(step, int):
            ask, look_through = QUESTIONS[step]
            assert ask(spans) == look_through(expected)
            continue
        before = newest(expected, lambda one, key=step.key: one.key == key)  # type: ignore[misc]  # as the lambda has it
        assert spans.pop(step.key) is before
        if before is not None:
            expected.remove(before)  # what ends and what begins take turns
        else:
            spans.add(step)
            expected.append(step)
    for kind in ("agent", "step"):
        of_kind = [one for one in expected if one.key[0] == kind]
        assert not of_kind or spans.oldest(kind) is of_kind[0]
    for span in expected:
        assert spans.pop(span.key) is span
    assert not spans._indexes
    assert not spans._unindexed
