import shlex
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.cli.event_options import wanted_options, words_argument
from hypervisor_observability.errors import FilterError
from hypervisor_observability.events.timestamps import nanoseconds
from hypervisor_observability.search.choice import Choice
from hypervisor_observability.search.filter_options import OPTIONS, values_of
from hypervisor_observability.search.filter_text import (
    MAX_CHARACTERS,
    MAX_WORDS,
    format_choice,
    parse,
)
from hypervisor_observability.stores import trace_key

_TIMES = ["2026-11-26", "2026-11-26T12:00:01.5", "2026-11-26T12:00+02:00", "9999-12-31T23:59Z"]
_words = st.one_of(
    st.sampled_from(["ring.*", "did:mesh:a", "a b", "", "-", "--", "-x", "--typ", "don't", "\\"]),
    st.sampled_from(_TIMES),
    st.sampled_from([one.name for one in OPTIONS]),
    st.builds("{}={}".format, st.sampled_from([one.name for one in OPTIONS]), st.text(max_size=5)),
    st.text(max_size=8),
)

_ALL = (
    "there are: --type, --session, --agent, --trace, --since, --until, --text, --wrong; "
    "put -- before words that begin with a dash"
)


@click.command()
@wanted_options
@words_argument
def _command(choice: Choice) -> Choice:
    return choice


def _by_command_line(words: list[str]) -> dict[str, Any] | None:
    try:
        return values_of(_command.main(words, standalone_mode=False))
    except click.UsageError:
        return None


def _by_filter(text: str) -> dict[str, Any] | None:
    try:
        return values_of(parse(text))
    except FilterError:
        return None


@given(st.lists(_words, max_size=6).filter(lambda words: "--help" not in words))
def test_filter_means_what_the_command_line_means(words: list[str]) -> None:
    assert _by_filter(shlex.join(words)) == _by_command_line(words)


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_says_why_not(text: str) -> None:
    with suppress(FilterError):
        assert parse(format_choice(parse(text))).text == parse(text).text


@given(st.lists(_words, max_size=6))
def test_choice_that_is_written_is_read_as_the_same(words: list[str]) -> None:
    try:
        choice = parse(shlex.join(words))
    except FilterError:
        return
    assert values_of(parse(format_choice(choice))) == values_of(choice)


def test_every_option_and_words_make_a_choice() -> None:
    choice = parse(
        "--type 'ring.*' refused --agent=build* --session s --trace t/1 --wrong"
        " --since 2026-11-26 --until 2026-11-27T00:00:00Z --text payment 'two words' -- --wrong"
    )

    assert values_of(choice) == {
        "event_type": "ring.*",
        "session": "s",
        "agent": "build*",
        "trace": trace_key("t"),
        "since": 1_795_651_200_000_000_000,
        "until": 1_795_737_600_000_000_000,
        "text": ("payment", "refused", "two words", "--wrong"),
        "wrong": True,
    }


def test_empty_filter_chooses_everything() -> None:
    assert parse("").is_everything
    assert format_choice(Choice()) == ""
    assert not parse("word").is_everything
    assert not parse("--wrong").is_everything


def test_times_ago_count_from_the_moment_of_reading() -> None:
    before = nanoseconds(datetime.now(UTC) - timedelta(minutes=5))
    since = parse("--since 5m").wanted.since_ns
    after = nanoseconds(datetime.now(UTC) - timedelta(minutes=5))

    assert since is not None
    assert before <= since <= after


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--typ x", "no such option: --typ (did you mean --type?)"),
        ("--limit 5", f"no such option: --limit ({_ALL})"),
        ("--type", "--type needs a value: --type TYPE"),
        ("--wrong=yes", "--wrong takes no value"),
        (
            "--since soon",
            "--since: 'soon' is not a time: expected 2026-11-26T12:00, or 30s, 5m, 2h, 1d",
        ),
        (
            "don't",
            'a quote is not closed: write "don\'t" for a word that has one',
        ),
        ("a\\", r"nothing follows the last \: write \\ for one"),
        ("x" * (MAX_CHARACTERS + 1), "the filter is longer than 4,096 characters"),
        (
            "--text a" + " a" * MAX_WORDS,
            (
                "the filter has 33 words to search for, which may be 32: put words that follow each"
                " other into quotes"
            ),
        ),
    ],
)
def test_wrong_filter_says_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)

    assert str(caught.value) == message
