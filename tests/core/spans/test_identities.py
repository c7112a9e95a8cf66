"""The ids of spans come from causal ids, which are read once."""

from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import CausalTraceId, HypervisorEvent
from hypervisor_observability.spans import identity
from hypervisor_observability.spans.identity import MAX_CACHED_IDS, causal_ids

PARTS = st.text("0aF-_", min_size=1, max_size=3) | st.sampled_from(
    [
        "a1b2c3d4e5f6",
        "89abcdef",
        "0" * 12,
        "f" * 32,
        "0123456789abcdef",
        "x" * 64,
        "x" * 65,
        "é",
        "",
    ]
)
TEXTS = st.lists(PARTS, max_size=4).map("/".join) | st.text(max_size=9)


@given(TEXTS)
def test_ids_are_those_that_the_causal_id_gives(text: str) -> None:
    causal = CausalTraceId.or_none(text)
    for _ in range(2):  # as it is read, and as it is known
        ids = causal_ids(HypervisorEvent(causal_trace_id=text))
        if causal is None:
            assert ids is None
            continue
        assert ids is not None
        assert (ids.trace_id, ids.span_id) == causal.to_w3c()
        parent = causal.parent_span_id
        if parent is None:
            assert ids.parent_span_id is None
        else:
            above = CausalTraceId(trace_id=causal.trace_id, span_id=parent)
            assert ids.parent_span_id == above.to_w3c()[1]


def test_many_ids_and_long_ones_are_not_kept() -> None:
    for number in range(3 * MAX_CACHED_IDS):
        assert causal_ids(HypervisorEvent(causal_trace_id=f"t{number}/s/p")) is not None
    before = identity._ids_in.cache_info()
    assert before.currsize == MAX_CACHED_IDS
    for cached in (identity._wide_trace, identity._wide_span):
        assert cached.cache_info().currsize <= MAX_CACHED_IDS
    assert causal_ids(HypervisorEvent(causal_trace_id="a/" + "b" * 10_000_000)) is None
    assert causal_ids(HypervisorEvent(causal_trace_id="a/" + "b" * 193)) is None
    assert identity._ids_in.cache_info() == before
