"""What of the source needs no framework."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_openai_agents import frames, seats
from hypervisor_openai_agents.endings import ended_by, ending_of, handled
from hypervisor_openai_agents.seats import Run, Seat, Seats
from hypervisor_openai_agents.turns import tokens_of


def seat(kind: seats.Kind = "tool", *, is_sensitive: bool = False) -> Seat:
    """Make a seat of a span that begins here."""
    return Seat("key", kind, Run(is_sensitive=is_sensitive), around=handled())


def test_seats_of_many_spans_that_never_end_are_forgotten_oldest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seats, "MAX_OPEN", 3)
    monkeypatch.setattr(seats, "MAX_ENDED", 2)
    all_seats = Seats()
    for name in "abcdef":
        all_seats.add(name, seat())

    assert [all_seats.find(name) is not None for name in "abcdef"] == [False] * 3 + [True] * 3
    assert all_seats.end("a") is None
    for name in "def":
        assert all_seats.end(name) is not None
        assert all_seats.end(name) is None
    assert [all_seats.find(name) is not None for name in "def"] == [False, True, True]
    assert all_seats.take_all() == []


def test_exception_that_was_handled_before_is_not_what_ends_a_span() -> None:
    try:
        raise TimeoutError
    except TimeoutError:
        outer = seat()
        assert ended_by(outer) is None
        own = KeyError()
        try:
            raise own
        except KeyError:
            assert ended_by(outer) is own
    assert ended_by(outer) is None


@pytest.mark.parametrize(
    ("error", "kind", "ends"),
    [
        (StopAsyncIteration(), "agent", False),
        (GeneratorExit(), "model", False),
        (GeneratorExit(), "agent", True),
        (ValueError(), "model", True),
    ],
)
def test_end_of_a_stream_is_no_failure(error: BaseException, kind: seats.Kind, ends: bool) -> None:
    one = seat(kind)
    try:
        raise error
    except BaseException:
        assert (ended_by(one) is error) is ends


@pytest.mark.parametrize(
    ("span_error", "ending"),
    [
        (None, (None, {})),
        ({"message": "Max turns exceeded", "data": {"max_turns": 3}}, ("Max turns exceeded", {})),
        ({"message": "Error", "data": {"error": "away"}}, ("Error: away", {})),
        ({"message": "Error", "data": {"error": "Error details are redacted."}}, ("Error", {})),
        ({"message": "", "data": None}, ("error", {})),
    ],
)
def test_error_of_a_span_says_what_it_can(span_error: Any, ending: Any) -> None:
    assert ending_of(span_error, seat("agent")) == ending


def test_error_of_a_span_says_nothing_where_content_stays_out() -> None:
    said = {"message": "Error", "data": {"error": "secret"}}

    assert "secret" not in str(ending_of(said, seat("agent", is_sensitive=True)))


def test_nothing_is_found_among_frames_that_are_not_the_frameworks() -> None:
    assert frames.tool_caller() == frames.Caller(is_sensitive=True)
    assert frames.called_model() == frames.CalledModel(is_sensitive=True)
    assert frames.model_of_turn() == frames.CalledModel(is_sensitive=True)
    assert frames.held_back() is None
    assert frames.usage_of_turn() is None
    assert not frames.begun_by_sdk()
    assert not frames.went_through_model(ValueError())


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (None, "unknown"),
        ("gpt-5", "gpt-5"),
        ("", "str"),
        (type("Own", (), {"model": "small"})(), "small"),
        (type("Own", (), {"model": 3})(), "Own"),
        (type("Own", (), {})(), "Own"),
    ],
)
def test_model_has_a_name(model: object, name: str) -> None:
    assert frames.model_name(model) == name


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (None, None),
        ('{"city": "Oslo"}', {"city": "Oslo"}),
        ("[1]", "[1]"),
        ("{", "{"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_arguments_that_are_no_object_stay_a_text(text: str | None, read: object) -> None:
    assert frames.arguments_in(text) == read


@given(
    st.one_of(
        st.none(),
        st.integers(),
        st.text(),
        st.dictionaries(
            st.sampled_from(["input_tokens", "output_tokens", "other"]),
            st.one_of(st.none(), st.integers(), st.text(), st.booleans(), st.floats()),
        ),
    )
)
def test_usage_of_any_form_is_two_counts(usage: object) -> None:
    for tokens in tokens_of(usage):
        assert type(tokens) is int
        assert tokens >= 0
