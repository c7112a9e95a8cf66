"""The YAML that is written is read back as what it was."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_prometheus.yaml_text import yaml_text

# Some are longer as they are written than a key that stands in one line may be.
keys = st.text() | st.builds(
    lambda text, times: text * times, st.text(max_size=3), st.integers(300, 1_100)
)
# YAML 1.1 takes 1e+16 for a text; no file of ours has such a number.
scalars = st.text() | st.integers() | st.booleans() | st.floats(0.001, 1e6)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_yaml_reads_back_as_what_was_written(value: Any) -> None:
    assert yaml.safe_load(yaml_text(value)) == value


@given(keys)
def test_any_text_stays_text_and_may_be_a_key(text: str) -> None:
    assert yaml.safe_load(yaml_text({text: [text]})) == {text: [text]}


@pytest.mark.parametrize("length", [1_020, 1_022, 1_023, 1_024, 1_025, 10_000])
@pytest.mark.parametrize("character", ["a", "a b ", "\n", "\U0001f600"])
@pytest.mark.parametrize("value", ["v", 1, True, [], {}, [1, [2]], {"a": {"b": "c"}}, [{"a": 1}]])
def test_key_of_any_length_is_read_back(length: int, character: str, value: Any) -> None:
    key = (character * length)[:length]

    for whole in ({key: value}, [{"first": 0, key: value, "last": [1]}]):
        assert yaml.safe_load(yaml_text(whole)) == whole


@pytest.mark.parametrize("word", ["yes", "No", "on", "OFF", "null", "True", "~", "1", "1e3", ""])
def test_words_that_yaml_reads_as_something_else_are_quoted(word: str) -> None:
    assert yaml.safe_load(yaml_text([word])) == [word]


def test_blocks_are_written_for_people() -> None:
    text = yaml_text(
        {"groups": [{"name": "a", "rules": [], "on": True}, {"name": "b b"}], "empty": {}},
        "First\n\nthird",
    )

    assert text == (
        "# First\n"
        "#\n"
        "# third\n"
        "groups:\n"
        "  - name: a\n"
        "    rules: []\n"
        '    "on": true\n'
        '  - name: "b b"\n'
        "empty: {}\n"
    )


def test_what_is_no_yaml_is_refused() -> None:
    with pytest.raises(TypeError, match="no scalar: object"):
        yaml_text({"a": object()})  # type: ignore[dict-item]  # on purpose
