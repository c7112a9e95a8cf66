"""The causal tree: exact edges from recorded events, whatever was recorded."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.tree import TraceTree, build_tree


def events_of(*causal_ids: str) -> list[HypervisorEvent]:
    return [
        HypervisorEvent(event_type=EventType.VFS_WRITE, causal_trace_id=text) for text in causal_ids
    ]


def tree_of(*causal_ids: str, trace_id: str = "t") -> TraceTree:
    return build_tree(events_of(*causal_ids), trace_id)


@pytest.mark.fault("C18")
@given(
    parents=st.lists(st.integers(min_value=0, max_value=1_000), max_size=40),
    seed=st.integers(min_value=0, max_value=2**32),
)
def test_recorded_events_give_back_the_true_ancestry(parents: Sequence[int], seed: int) -> None:
    ids = [CausalTraceId()]
    above: list[set[int]] = [set()]
    for number in parents:
        parent = number % len(ids)
        ids.append(ids[parent].child())
        above.append(above[parent] | {parent})
    texts = [causal_id.full_id for causal_id in ids for _ in range(2)]
    texts += [CausalTraceId().full_id, "no id at all"]
    random.Random(seed).shuffle(texts)

    tree = build_tree(events_of(*texts), ids[0].trace_id)

    assert len(tree.nodes) == len(ids)
    assert tree.roots == (ids[0].span_id,)
    assert tree.unreadable == 1
    for low, one in enumerate(ids):
        for high, other in enumerate(ids):
            assert tree.is_ancestor(other, one) is (high in above[low])
    assert not any(n.orphan or n.forged or n.second_root for n in tree.nodes.values())
    assert all(len(node.events) == 2 for node in tree.nodes.values())


@given(
    edges=st.lists(
        st.tuples(st.sampled_from("abcdefg"), st.sampled_from(["", *"abcdefg"])), max_size=20
    )
)
def test_any_edges_at_all_give_a_tree(edges: list[tuple[str, str]]) -> None:
    tree = tree_of(*(f"t/{span}/{parent}".rstrip("/") for span, parent in edges))

    walked = [node.span_id for _, node in tree.walk()]
    assert sorted(walked) == sorted(tree.nodes)
    for span, node in tree.nodes.items():
        assert span not in tree.ancestors(span)
        assert node.parent_span_id is None or node.parent_span_id in node.parents
        assert sum(len(node.events) for node in tree.nodes.values()) == len(edges)


def test_children_stand_in_order_of_first_appearance() -> None:
    tree = tree_of("t/c/a", "t/a", "t/b/a", "t/c/a")

    assert tree.nodes["a"].children == ("c", "b")
    assert [(depth, node.span_id) for depth, node in tree.walk()] == [(0, "a"), (1, "c"), (1, "b")]


def test_other_traces_and_events_without_a_trace_are_left_out() -> None:
    events = [HypervisorEvent(), *events_of("t/a", "u/a", "t/b/a")]

    assert set(build_tree(events, "t/a").nodes) == {"a", "b"}
    assert set(build_tree(events, "nowhere").nodes) == set()


def test_unreadable_ids_are_counted() -> None:
    assert tree_of("t/a", "t/a/b/c", "t//", "", "\ud800").unreadable == 4


def test_span_whose_parent_was_never_seen_is_an_orphan_below_it() -> None:
    tree = tree_of("t/b/a", "t/c/a", "t/d/c")

    assert tree.roots == ("a",)
    assert tree.nodes["a"].events == ()
    assert tree.nodes["b"].orphan
    assert tree.nodes["c"].orphan
    assert not tree.nodes["d"].orphan
    assert tree.is_ancestor("a", "d")


def test_span_known_with_and_without_its_parent_is_no_contradiction() -> None:
    tree = tree_of("t/b", "t/a", "t/b/a")

    assert tree.nodes["b"].parent_span_id == "a"
    assert not tree.nodes["b"].forged
    assert tree.roots == ("a",)


@pytest.mark.fault("C18")
def test_span_with_two_parents_is_marked_and_keeps_the_first() -> None:
    tree = tree_of("t/a", "t/b", "t/x/a", "t/x/b")

    assert tree.nodes["x"].forged
    assert tree.nodes["x"].parents == ("a", "b")
    assert tree.is_ancestor("a", "x")
    assert not tree.is_ancestor("b", "x")
    assert tree.nodes["b"].second_root
    assert not tree.nodes["a"].second_root


def test_circle_is_cut_where_it_was_seen_first_and_marked() -> None:
    tree = tree_of("t/a", "t/y/x", "t/z/y", "t/x/z", "t/w/x", "t/self/self")

    assert tree.roots == ("a", "y", "self")
    assert [span for span, node in tree.nodes.items() if node.forged] == ["y", "z", "x", "self"]
    assert tree.ancestors("w") == ["x", "z", "y"]


def test_ancestry_takes_ids_of_its_own_trace_alone() -> None:
    root = CausalTraceId()
    child = root.child()
    tree = build_tree(events_of(root.full_id, child.full_id), root.trace_id)

    assert tree.is_ancestor(root, child)
    assert tree.is_ancestor(root.span_id, child.span_id)
    assert not tree.is_ancestor(child, root)
    assert not tree.is_ancestor(root, root)
    assert not tree.is_ancestor(root, "unknown")
    assert not tree.is_ancestor(CausalTraceId(span_id=root.span_id), child)
    assert not tree.is_ancestor(root, CausalTraceId(span_id=child.span_id))


@given(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).filter(lambda text: text.strip("0")))
@example("0af7651916cd")
@example("123e4567-e89b-12d3-a456-426614174000")  # longer than a wide form
@example("123E4567E89B12D3A456426614174000")  # as long as one
def test_trace_is_found_by_its_wide_form(trace_id: str) -> None:
    root = CausalTraceId(trace_id)
    wide, _ = root.to_w3c()
    back = CausalTraceId(wide, "x")

    assert set(build_tree(events_of(root.full_id, "other/x"), wide).nodes) == {root.span_id}
    assert set(build_tree(events_of(back.full_id, "other/x"), trace_id).nodes) == {"x"}
    assert not root.is_ancestor_of(CausalTraceId(f"{wide[:-1]}g", "x", depth=9))
    assert root.is_ancestor_of(CausalTraceId(wide, "x", depth=9))


@pytest.mark.parametrize("trace_id", ["", "\ud800", "a" * 40, "ä"])
def test_odd_trace_ids_find_nothing(trace_id: str) -> None:
    assert tree_of("t/a", f"{'b' * 32}/a", trace_id=trace_id).nodes == {}


def test_very_deep_trees_are_no_trouble() -> None:
    depth = 3_000
    texts = ["t/s0", *(f"t/s{number}/s{number - 1}" for number in range(1, depth))]

    tree = tree_of(*texts)

    assert len(tree.ancestors(f"s{depth - 1}")) == depth - 1
    assert sum(1 for _ in tree.walk()) == depth
