"""The columns of a trace say what its tree says."""

import pytest

from hypervisor_observability import HypervisorEvent
from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.tree import build_tree, tree_to_dict
from hypervisor_web.traces import columns as columns_module
from hypervisor_web.traces import texts as texts_module
from hypervisor_web.traces.columns import columns_of
from hypervisor_web.traces.texts import MOST_CHARACTERS, Texts
from tests.plugins.web.traced import Recorded, event, rows, scenario, traces_of


@pytest.fixture(scope="module")
def played() -> list[HypervisorEvent]:
    return scenario()


@pytest.fixture
def recorded(played: list[HypervisorEvent]) -> Recorded:
    made = Recorded()
    made.record(*played)
    return made


def test_rows_are_the_work_of_the_tree_in_its_words(
    played: list[HypervisorEvent], recorded: Recorded
) -> None:
    for key in traces_of(played):
        work = tree_to_dict(build_tree(played, key))["work"]
        shown = rows(recorded.trace(key))

        assert [(one["kind"], one["state"], one["word"], one["agent"]) for one in shown] == [
            (one["kind"], one["state"], one["word"], one["agent_did"]) for one in work
        ]
        assert [one.get("reason", "") for one in shown] == [one["reason"] for one in work]
        took = [
            None if one["ended"] in (None, one["begun"]) else one["ended"] - one["begun"]
            for one in shown
        ]
        assert took == [
            None if one["duration_seconds"] in (None, 0) else round(one["duration_seconds"] * 1e6)
            for one in work
        ]


def test_undone_work_stands_below_what_it_undid(recorded: Recorded) -> None:
    shown = rows(recorded.trace("publish-1"))

    titles = [one["title"] for one in shown]
    place = titles.index("undo-reserve")
    assert (titles[place - 1], shown[place - 1]["word"]) == ("reserve", "undone")
    assert shown[place]["depth"] == shown[place - 1]["depth"] + 1


def test_each_event_belongs_to_one_row(recorded: Recorded, played: list[HypervisorEvent]) -> None:
    for key in traces_of(played):
        shown = rows(recorded.trace(key))
        assert sum(one["events"] for one in shown) == sum(
            event.causal_trace_id is not None and key in traces_of([event]) for event in played
        )


def test_what_runs_has_no_end_and_what_holds_it_goes_on() -> None:
    root = CausalTraceId()
    recorded = Recorded()
    recorded.record(event("tool.started", root.child(), 1.0, tool_name="search"))

    holder, tool = rows(recorded.trace(root.trace_id))

    assert (holder["kind"], holder["ended"], holder["begun"]) == ("span", None, 0)
    assert (tool["word"], tool["ended"], tool["begun"]) == ("running", None, 0)


def test_a_span_of_which_only_its_end_is_known_is_drawn_where_that_was() -> None:
    root = CausalTraceId()
    recorded = Recorded()
    recorded.record(
        event("run.started", root, 0.0, name="r"),
        event("tool.finished", root.child(), 2.0, tool_name="search"),
        event("session.created", root.child(), 3.0),
        event("run.finished", root, 4.0, name="r"),
    )

    run, tool, session = rows(recorded.trace(root.trace_id))

    assert (run["begun"], run["ended"]) == (0, 4_000_000)
    assert (tool["begun"], tool["ended"], tool["word"]) == (2_000_000, 2_000_000, "ok")
    assert (session["begun"], session["ended"], session["state"]) == (3_000_000, 3_000_000, "")


def test_a_clock_that_steps_back_makes_no_negative_time() -> None:
    root = CausalTraceId()
    recorded = Recorded()
    recorded.record(
        event("run.started", root, 5.0, name="r"), event("run.finished", root, 1.0, name="r")
    )

    (run,) = rows(recorded.trace(root.trace_id))

    assert run["begun"] <= run["ended"]
    assert run["begun"] >= 0


def test_linked_caller_is_a_link() -> None:
    root, caller = CausalTraceId(), CausalTraceId()
    recorded = Recorded()
    recorded.record(event("session.joined", root, name="a", caller_trace=caller.full_id))

    (agent,) = rows(recorded.trace(root.trace_id))

    assert agent["link"] == caller.trace_id
    assert agent["details"] == f"called from {caller.trace_id}"


def test_long_and_hostile_names_are_cut_and_stay_text() -> None:
    root = CausalTraceId()
    recorded = Recorded()
    recorded.record(
        event("run.started", root, name="<script>alert(1)</script>\u202e\ud800"),
        event("run.started", root.child(), name="x" * 5_000),
    )

    hostile, long = rows(recorded.trace(root.trace_id))

    assert hostile["title"] == "<script>alert(1)</script>\u202e\ud800"
    assert len(long["title"]) == MOST_CHARACTERS


def test_work_beyond_the_bound_is_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_module, "MOST_WORK", 3)
    root = CausalTraceId()
    events = [event("run.started", root, name="r")]
    events += [event("run.started", root.child(), name="c") for _ in range(5)]

    columns = columns_of(events, range(6), root.trace_id, {}, None)

    assert len(columns.keys) == 3
    assert columns.notices == [
        "the first 3 of 6 pieces of work are shown, in the order of the tree"
    ]


def test_texts_beyond_their_room_are_counted() -> None:
    texts = Texts()

    numbers = {texts.number(f"{number:0>400}") for number in range(20_000)}

    assert texts.left_out > 0
    assert sum(map(len, texts.all())) < 4 << 20
    assert texts.all()[max(numbers)] == f"{max(numbers) - 2:0>400}"
    assert texts.number("one more that is long" * 20) == 1
    assert texts.all()[1] == "…"


def test_names_that_find_no_room_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts_module, "_MOST_BYTES", 120)
    root = CausalTraceId()
    events = [event("run.started", root, name="r")]
    events += [event("run.started", root.child(), name=f"{n}" * 40) for n in range(3)]

    columns = columns_of(events, range(4), root.trace_id, {}, None)

    assert columns.notices == ["left out: 1 of the names and reasons; there are too many"]


def test_more_agents_than_the_page_names_leave_rows_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(columns_module, "_MOST_AGENTS", 1)
    root = CausalTraceId()
    first = event("run.started", root, name="r")
    second = event("run.started", root.child(), name="r").replace(agent_did="did:mesh:b")

    columns = columns_of([first, second], range(2), root.trace_id, {"did:mesh:a": "a"}, None)

    assert columns.told["columns"]["agent"] == [0, -1]
    assert columns.told["agents"] == [{"did": "did:mesh:a", "name": "a"}]


def test_estimated_costs_and_models_without_a_price_are_told() -> None:
    root = CausalTraceId()
    prices = Prices()
    events = [event("run.started", root, name="r")]
    events += [
        event("usage.recorded", root.child(), model=model, input_tokens=1_000, output_tokens=1)
        for model in ("gpt-4o", "a-model-of-nobody")
    ]

    columns = columns_of(events, range(3), root.trace_id, {}, prices)

    assert columns.notices == [
        f"~ estimated by {prices.name}",
        "no price known: a-model-of-nobody",
    ]
    texts = columns.told["texts"]
    (cost, *_) = [texts[number] for number in columns.told["columns"]["cost"]["value"]]
    assert cost.startswith("~0.00")
    assert cost.endswith(" USD")


def test_unreadable_ids_are_told() -> None:
    root = CausalTraceId()
    events = [
        event("run.started", root, name="r"),
        event("run.started", f"{root.trace_id}/not/an/id", name="r"),
    ]

    columns = columns_of(events, range(2), root.trace_id, {}, None)

    assert columns.notices == ["left out: 1 events with unreadable causal ids"]
