"""Durations read the same in trees and reports."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypervisor_observability.text.durations import duration_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 us"),
        (0.000_999_4, "999 us"),
        (0.000_999_6, "1 ms"),
        (0.0151, "15 ms"),
        (0.999_6, "1.00 s"),
        (1.5, "1.50 s"),
        (59.996, "1 m 00 s"),
        (90, "1 m 30 s"),
        (3_599.6, "1 h 00 m"),
        (5_400, "1 h 30 m"),
        (360_060, "100 h"),
    ],
)
def test_durations_are_written_in_the_unit_that_suits(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@given(st.floats(0, 35_999_000))
@example(0.06)
def test_duration_fits_its_column_and_no_unit_is_written_where_the_next_suits(
    seconds: float,
) -> None:
    text = duration_text(seconds)

    assert len(text) <= 9
    assert not text.startswith(("1000 ", "60.00 ", "60 m "))
