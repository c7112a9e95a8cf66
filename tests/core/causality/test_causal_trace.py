import copy
import inspect
import multiprocessing
import os
import pickle  # noqa: TID251 - that ids survive it is promised, and what is read was just written
from functools import partial
from typing import Any, cast

import attrs
import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.events import ids, lazy_slots
from tests.programs import run_python
from tests.threads import run_in_threads

SHORT_IDS = st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True).filter(lambda t: t.strip("0"))


def test_root_is_drawn_with_the_documented_format() -> None:
    root = CausalTraceId()

    assert len(root.trace_id) == 12
    assert len(root.span_id) == 8
    assert set(root.trace_id + root.span_id) <= set("0123456789abcdef")
    assert (root.parent_span_id, root.depth) == (None, 0)
    assert root.full_id == str(root) == f"{root.trace_id}/{root.span_id}"
    assert root.is_native
    assert not root.orphan_root


def test_child_stays_in_the_trace_and_links_to_its_parent() -> None:
    root = CausalTraceId()
    child = root.child()
    grandchild = child.child()

    assert child.trace_id == grandchild.trace_id == root.trace_id
    assert child.parent_span_id == root.span_id
    assert (child.depth, grandchild.depth) == (1, 2)
    assert child.full_id == f"{root.trace_id}/{child.span_id}/{root.span_id}"
    assert len({root.span_id, child.span_id, grandchild.span_id}) == 3


@pytest.mark.parametrize("read_first", [True, False])
def test_sibling_has_the_same_parent_and_depth(read_first: bool) -> None:
    worker = CausalTraceId().child()
    if read_first:
        assert worker.full_id
    beside = worker.sibling()

    assert beside.trace_id == worker.trace_id
    assert beside.parent_span_id == worker.parent_span_id
    assert beside.depth == worker.depth == 1
    assert beside.span_id != worker.span_id
    assert not beside.orphan_root


def test_sibling_of_a_root_keeps_depth_zero_and_says_so() -> None:
    beside = CausalTraceId().sibling()

    assert (beside.depth, beside.parent_span_id, beside.orphan_root) == (0, None, True)
    assert beside.sibling().orphan_root
    assert not beside.child().orphan_root
    assert not CausalTraceId.from_w3c("a" * 32, "b" * 16, depth=2).sibling().orphan_root


def test_parse_of_three_parts() -> None:
    parsed = CausalTraceId.from_string("a1b2c3d4e5f6/89abcdef/01234567")

    assert (parsed.trace_id, parsed.span_id) == ("a1b2c3d4e5f6", "89abcdef")
    assert (parsed.parent_span_id, parsed.depth) == ("01234567", 1)
    assert CausalTraceId.from_string("a1b2c3d4e5f6/01234567").parent_span_id is None
    assert CausalTraceId.from_string("a1b2c3d4e5f6/01234567").depth == 0


@pytest.mark.fault("C17")
@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("invalid", "expected TRACE/SPAN"),
        ("", "expected TRACE/SPAN"),
        ("a/b/c/d", "expected TRACE/SPAN"),
        ("/b", "trace_id: expected 1 to 64"),
        ("a/", "span_id: expected 1 to 64"),
        ("a/b/", "parent_span_id: expected 1 to 64"),
        ("000000000000/01234567", "trace_id: all zeros"),
        ("a/0", "span_id: all zeros"),
        ("a/b\n", "span_id: expected 1 to 64"),
        (" a/b", "trace_id: expected 1 to 64"),
        ("\uff11/b", "trace_id: expected 1 to 64"),
        ("a/\u0661", "span_id: expected 1 to 64"),
        ("a/\ud800", "span_id: expected 1 to 64"),
        ("a\x00/b", "trace_id: expected 1 to 64"),
        ("a" * 65 + "/b", "at most 64 characters, got 65"),
        ("a" * 10_000_000, "at most 194 characters, got 10000000"),
        ("/" * 195, "at most 194 characters"),
    ],
)
def test_bad_text_is_refused_with_what_is_wrong(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as caught:
        CausalTraceId.from_string(text)

    assert len(str(caught.value)) < 300
    assert CausalTraceId.or_none(text) is None


@pytest.mark.parametrize("text", [None, 5, b"a/b", ["a", "b"]])
def test_what_is_no_string_is_a_type_error(text: Any) -> None:
    with pytest.raises(TypeError, match="expected a string"):
        CausalTraceId.from_string(text)
    with pytest.raises(TypeError, match="expected a string"):
        CausalTraceId(trace_id="a", span_id="b", parent_span_id=text or cast("Any", 5))
    assert CausalTraceId.or_none(text) is None


@given(st.text())
def test_parse_succeeds_exactly_where_it_round_trips(text: str) -> None:
    try:
        parsed = CausalTraceId.from_string(text)
    except ValueError:
        return
    assert parsed.full_id == text
    assert CausalTraceId.or_none(text) == parsed


@given(SHORT_IDS, SHORT_IDS, st.none() | SHORT_IDS)
def test_any_given_ids_round_trip(trace: str, span: str, parent: str | None) -> None:
    given_ids = CausalTraceId(trace, span, parent)

    assert len(given_ids.full_id) <= 98
    for one in (given_ids, given_ids.child(), given_ids.sibling(), given_ids.child().child()):
        assert CausalTraceId.from_string(one.full_id).full_id == one.full_id


def test_drawn_ids_round_trip() -> None:
    trace = CausalTraceId()
    for _ in range(200):
        assert CausalTraceId.from_string(trace.full_id).full_id == trace.full_id
        trace = trace.child()


def test_constructor_draws_what_is_not_given() -> None:
    assert len(CausalTraceId(trace_id="abc").span_id) == 8
    assert len(CausalTraceId(span_id="abc").trace_id) == 12
    assert len(CausalTraceId(trace_id="a" * 32).span_id) == 16
    named = CausalTraceId(parent_span_id="p", depth=3)
    assert (named.parent_span_id, named.depth, len(named.trace_id)) == ("p", 3, 12)
    assert CausalTraceId("t", "s", "p", 2) == CausalTraceId(
        trace_id="t", span_id="s", parent_span_id="p", depth=2
    )


@pytest.mark.parametrize(("depth", "error"), [(-1, ValueError), ("1", TypeError), (1.0, TypeError)])
def test_depth_is_a_count(depth: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="depth: expected"):
        CausalTraceId("t", "s", depth=depth)


def test_subclass_of_str_becomes_a_plain_string() -> None:
    class Loud(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "LOUD"

    trace = CausalTraceId(Loud("quiet"), Loud("s"))

    assert type(trace.trace_id) is str
    assert trace.full_id == "quiet/s"


def test_ids_are_equal_by_their_four_fields() -> None:
    trace = CausalTraceId().child()
    same = CausalTraceId(trace.trace_id, trace.span_id, trace.parent_span_id, trace.depth)

    assert trace == same
    assert hash(trace) == hash(same)
    assert trace != trace.sibling()
    assert trace != attrs.evolve(trace, depth=5)
    assert trace != cast("Any", trace.full_id)
    assert repr(trace) == (
        f"CausalTraceId(trace_id={trace.trace_id!r}, span_id={trace.span_id!r},"
        f" parent_span_id={trace.parent_span_id!r}, depth=1)"
    )


def test_it_is_a_genuine_frozen_attrs_class() -> None:
    trace = CausalTraceId()
    names = ["trace_id", "span_id", "parent_span_id", "depth"]

    assert type(trace) is type(trace.child()) is CausalTraceId
    assert [one.name for one in attrs.fields(CausalTraceId)] == names
    assert list(inspect.signature(CausalTraceId).parameters) == names
    assert list(attrs.asdict(trace)) == names
    assert attrs.asdict(trace)["trace_id"] == trace.trace_id
    assert not hasattr(trace, "__dict__")
    assert not hasattr(trace, "__weakref__")
    defaults: Any = attrs.fields(CausalTraceId)
    assert not hasattr(trace, "__attrs_init__")
    assert len(defaults.trace_id.default.factory()) == 12
    assert len(defaults.span_id.default.factory()) == 8


@pytest.mark.parametrize(
    "name", ["trace_id", "span_id", "parent_span_id", "depth", "orphan_root", "other"]
)
def test_nothing_can_be_assigned_or_deleted(name: str) -> None:
    trace = CausalTraceId()

    with pytest.raises(FrozenInstanceError):
        setattr(trace, name, "x")
    with pytest.raises(FrozenInstanceError):
        delattr(trace, name)


def test_not_even_object_setattr_changes_an_id() -> None:
    trace = CausalTraceId()

    with pytest.raises(FrozenInstanceError):
        object.__setattr__(trace, "trace_id", "x")
    with pytest.raises(FrozenInstanceError):
        object.__delattr__(trace, "span_id")


def test_evolve_checks_what_it_is_given() -> None:
    trace = CausalTraceId().child()

    assert attrs.evolve(trace) == trace
    assert attrs.evolve(trace, span_id="s").parent_span_id == trace.parent_span_id
    with pytest.raises(ValueError, match="span_id"):
        attrs.evolve(trace, span_id="a b")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_keeps_value_and_ancestry(protocol: int) -> None:
    root = CausalTraceId()
    uncle, child = root.child(), root.child().child()
    back = pickle.loads(pickle.dumps(child, protocol))  # noqa: S301 - written in this line

    assert back == child
    assert type(back) is CausalTraceId
    assert root.is_ancestor_of(back)
    assert not uncle.is_ancestor_of(back)


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy])
def test_copies_are_equal_and_know_their_ancestors(clone: Any) -> None:
    root = CausalTraceId()
    child, uncle = root.child(), root.child()
    orphan = root.sibling()

    assert clone(child) == child
    assert clone(orphan).orphan_root
    assert not uncle.is_ancestor_of(clone(child.child()))
    assert root.is_ancestor_of(clone(child), strict=True)


def test_ids_are_numbers_until_they_are_read() -> None:
    held = CausalTraceId.__dict__["trace_id"].member.__get__
    root = CausalTraceId()
    child = root.child()

    assert type(held(root)) is type(held(child)) is int
    assert ids.trace_id_text(held(child)) == child.trace_id
    assert held(child) == child.trace_id == root.trace_id
    # A child of an id that was read is as cheap: it goes back to the number.
    assert type(held(root.child())) is int


def test_lazy_slot_looks_like_the_slot_behind_it() -> None:
    slot: Any = CausalTraceId.trace_id

    assert isinstance(slot, lazy_slots.LazySlot)
    assert (slot.__name__, slot.__objclass__) == ("trace_id", CausalTraceId)
    assert inspect.isdatadescriptor(slot)


def test_threads_that_read_an_id_for_the_first_time_agree() -> None:
    for _ in range(50):
        trace = CausalTraceId().child()
        seen: list[str] = []
        run_in_threads(*[partial(lambda t, s: s.append(t.full_id), trace, seen)] * 4)
        assert set(seen) == {trace.full_id}


def test_install_refuses_what_is_no_slot() -> None:
    class Plain:
        value = 1

    with pytest.raises(TypeError, match=r"Plain\.value: expected a slot, got int"):
        lazy_slots.install(Plain, "value", str)
    with pytest.raises(TypeError, match="got LazySlot"):
        lazy_slots.install(CausalTraceId, "trace_id", str)


def test_lazy_slot_converts_at_each_read_where_it_must_not_store() -> None:
    class Held:
        __slots__ = ("value",)

    member = Held.__dict__["value"]
    lazy_slots.install(Held, "value", sorted, when=list, store=False)
    held: Any = Held()
    member.__set__(held, [2, 1])

    assert held.value == [1, 2]
    assert held.value is not held.value
    assert member.__get__(held) == [2, 1]
    assert repr(Held.__dict__["value"]) == "<lazy slot 'value' of 'Held'>"
    with pytest.raises(AttributeError):
        cast("Any", Held()).value  # noqa: B018 - an empty slot stays one


def test_ancestors_are_those_above_and_nobody_else() -> None:
    root = CausalTraceId()
    child, uncle = root.child(), root.child()
    grandchild = child.child()

    assert root.is_ancestor_of(grandchild)
    assert root.is_ancestor_of(child)
    assert child.is_ancestor_of(grandchild)
    assert not child.is_ancestor_of(root)
    assert not root.is_ancestor_of(root)
    assert not uncle.is_ancestor_of(grandchild)
    assert not root.sibling().is_ancestor_of(grandchild)
    assert not CausalTraceId().is_ancestor_of(grandchild)


def test_parsed_parent_link_is_certain() -> None:
    parent = CausalTraceId.from_string("t/p/r")
    child = CausalTraceId.from_string("t/c/p")

    assert parent.is_ancestor_of(child, strict=True)
    assert not child.is_ancestor_of(parent)
    assert not CausalTraceId.from_string("t/b/p").is_ancestor_of(child)


def test_depth_decides_only_where_nothing_is_known_and_never_if_strict() -> None:
    root = CausalTraceId.from_string("t/r")
    far = CausalTraceId.from_string("t/c/b")

    assert root.is_ancestor_of(far)
    assert not root.is_ancestor_of(far, strict=True)
    assert not far.is_ancestor_of(root)


def test_uncle_is_found_out_by_a_parent_in_common() -> None:
    uncle = CausalTraceId.from_string("t/u/p")
    nephew = CausalTraceId.from_string("t/c/p").child()

    assert nephew.depth > uncle.depth
    assert not uncle.is_ancestor_of(nephew)


def test_nobody_is_above_his_own_ancestor() -> None:
    child = CausalTraceId.from_string("t/c/b")
    above = CausalTraceId("t", "b", depth=7)

    assert not child.is_ancestor_of(above)


def test_far_ancestors_are_forgotten_but_near_ones_are_certain() -> None:
    line = [CausalTraceId()]
    for _ in range(100):
        line.append(line[-1].child())
    last = line[-1]

    assert all(above.is_ancestor_of(last, strict=True) for above in line[36:-1])
    assert not any(above.is_ancestor_of(last, strict=True) for above in line[:36])
    assert all(above.is_ancestor_of(last) for above in line[:-1])
    assert not line[50].child().is_ancestor_of(last)
    assert line[64].depth == 64
    assert line[0].is_ancestor_of(line[64], strict=True)
    assert not line[3].child().is_ancestor_of(line[64])


FORKING = """
import os
from hypervisor_observability.causality.causal_trace import CausalTraceId
before = CausalTraceId()  # unread when the fork happens
pid = os.fork()
drawn = [before, *(CausalTraceId() for _ in range(100))]
os.write(1, (" ".join(map(str, drawn)) + "\\n").encode())  # in one piece: both write here
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_child_draws_other_ids() -> None:
    # In a process of its own, where no other thread runs while it forks.
    ran = run_python(FORKING, check=True)
    one, other = (line.split() for line in ran.stdout.splitlines())

    assert one[0] == other[0]
    assert len(one) == len(other) == 101
    for part in (0, 1):
        drawn = {text.split("/")[part] for text in one[1:] + other[1:]}
        assert len(drawn) == 200


def test_id_reaches_a_spawned_process_whole() -> None:
    child = CausalTraceId().child()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(str, (child,)) == child.full_id


def test_hundred_thousand_ids_are_distinct() -> None:
    root = CausalTraceId()

    assert len({CausalTraceId().trace_id for _ in range(100_000)}) == 100_000
    assert len({root.child().span_id for _ in range(100_000)}) == 100_000
