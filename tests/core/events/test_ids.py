import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.events import ids
from tests.programs import run_python


@given(st.integers(min_value=0), st.integers(min_value=0))
def test_different_numbers_give_different_texts(one: int, other: int) -> None:
    for bits in (32, 48, 64):
        numbers = one % 2**bits, other % 2**bits
        if all(numbers):  # 0 would be zeros alone
            text = ids.text_of(bits)
            assert (text(one) == text(other)) is (numbers[0] == numbers[1])


def test_texts_are_one_to_one_on_all_numbers_of_a_small_width() -> None:
    text = ids.text_of(12)
    assert sorted(text(number) for number in range(1, 2**12)) == [
        f"{number:03x}" for number in range(1, 2**12)
    ]
    assert text(0) == "001"


def test_ids_of_numbers_are_what_they_were() -> None:
    assert ids.event_id_text(1) == "9e3779b9e17d05ac"
    assert ids.trace_id_text(1) == "79b97f33c56a"
    assert ids.span_id_text(1) == "7f4a035f"


@pytest.mark.parametrize(
    ("text_of", "digits"),
    [(ids.event_id_text, 16), (ids.trace_id_text, 12), (ids.span_id_text, 8)],
)
def test_text_is_lower_case_hexadecimal_of_fixed_width_and_never_zeros_alone(
    text_of: "object", digits: int
) -> None:
    assert callable(text_of)
    for number in [*range(1_000), 2**32, 2**48, 2**62, 2**64 - 1, 2**64]:
        text = text_of(number)
        assert len(text) == digits
        assert set(text) <= set("0123456789abcdef")
        assert set(text) != {"0"}


@given(st.integers(min_value=1, max_value=2**64 - 1))
def test_number_of_an_event_id_is_the_one_that_it_was_drawn_as(number: int) -> None:
    assert ids.event_id_number(ids.event_id_text(number)) == number


def test_neighbouring_numbers_look_unrelated() -> None:
    texts = {ids.event_id_text(number)[:4] for number in range(1_000)}

    assert len(texts) > 900


def test_numbers_are_drawn_once_by_all_threads_together() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda _: [ids.next_number() for _ in range(2_000)], range(8)))

    assert len({number for numbers in drawn for number in numbers}) == 16_000


@pytest.mark.fault("C11")
def test_id_drawn_before_a_fork_reads_the_same_in_the_child_and_new_ones_differ(
    tmp_path: Path,
) -> None:
    program = """
import os
from hypervisor_observability.events.event import HypervisorEvent

before = HypervisorEvent()  # its id is a number still
children = []
for _ in range(20):
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        new = " ".join(HypervisorEvent().event_id for _ in range(50))
        os.write(write_end, f"{before.event_id} {new}".encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end) as pipe:
        children.append(pipe.read().split())
    os.waitpid(child, 0)
own = [HypervisorEvent().event_id for _ in range(50)]
assert {child[0] for child in children} == {before.event_id}
new = [identifier for child in children for identifier in child[1:]] + own
assert len(set(new)) == len(new) == 21 * 50, len(new)
"""
    if not hasattr(os, "fork"):
        pytest.skip("this system knows no fork")
    run_python(program, check=True, cwd=tmp_path)
