import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.config.interpolation import (
    CannotInterpolate,
    Interpolated,
    Unresolved,
    interpolate,
    interpolate_tree,
)

ENVIRON = {"PORT": "9464", "HOST": "db.internal", "EMPTY": "", "_x1": "y"}


def filled(text: str, folder: Path = Path("/nowhere"), **environ: str) -> str:
    value = interpolate(text, environ=ENVIRON | environ, folder=folder)
    return value.text if isinstance(value, Interpolated) else value


def refusal(text: str, folder: Path = Path("/nowhere"), **environ: str) -> str:
    with pytest.raises(CannotInterpolate) as caught:
        filled(text, folder, **environ)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${PORT}", "9464"),
        ("http://${HOST}:${PORT}/v1", "http://db.internal:9464/v1"),
        ("${NONE:-8125}", "8125"),
        ("${EMPTY:-8125}", "8125"),
        ("${NONE:-}", ""),
        ("${PORT:-8125}", "9464"),
        ("${NONE:-a:-b}", "a:-b"),
        ("${_x1}", "y"),
        ("no variable: $PORT $ {PORT} $", "no variable: $PORT $ {PORT} $"),
        ("$$", "$"),
        ("$${PORT}", "${PORT}"),
        ("$$${PORT}", "$9464"),
        ("^a{2}$", "^a{2}$"),
    ],
)
def test_variables_are_filled(text: str, value: str) -> None:
    assert filled(text) == value


@pytest.mark.parametrize(
    ("text", "whole"),
    [("${PORT}", True), ("${NONE:-1}", True), (" ${PORT}", False), ("${PORT}${PORT}", False)],
)
def test_only_a_whole_value_may_be_converted(text: str, *, whole: bool) -> None:
    value = interpolate(text, environ=ENVIRON, folder=Path())

    assert isinstance(value, Interpolated)
    assert value.is_whole is whole


@pytest.mark.fault("F7")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${NONE}", "the environment variable NONE is not set"),
        ("x ${EMPTY} x", "the environment variable EMPTY is empty"),
        ("${A${B}}", "a ${...} cannot stand inside another ${...}"),
        ("${NONE:-${PORT}}", "a ${...} cannot stand inside another ${...}"),
        ("${PORT", "a '${' without its '}' (write '$${' for the characters themselves)"),
        ("${}", "malformed ${...}: expected ${NAME}, ${NAME:-default} or ${file:/path}"),
        ("${1A}", "malformed ${...}: expected ${NAME}, ${NAME:-default} or ${file:/path}"),
        ("${PORT }", "malformed ${...}: expected ${NAME}, ${NAME:-default} or ${file:/path}"),
        ("${PORT:8125}", "malformed ${...}: expected ${NAME}, ${NAME:-default} or ${file:/path}"),
        ("${file:}", "${file:}: expected the path of a file; '~' is not expanded"),
        ("${file:~/x}", "${file:~/x}: expected the path of a file; '~' is not expanded"),
    ],
)
def test_what_cannot_be_filled_names_its_variable(text: str, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.fault("F7")
@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\x1bb"])
def test_control_characters_in_a_value_are_refused_without_showing_it(value: str) -> None:
    message = "the value of ${V} holds a line break or another control character"

    assert refusal("${V}", V=value) == message


@pytest.mark.fault("F7")
def test_value_is_not_filled_a_second_time() -> None:
    message = "the value of ${V} holds '${', which is not filled a second time"

    assert refusal("${V}", V="${PORT}") == message


@given(st.text(max_size=40), st.dictionaries(st.sampled_from("AB"), st.text(max_size=5)))
def test_no_literal_expression_is_left_unless_it_was_escaped(
    text: str, environ: dict[str, str]
) -> None:
    try:
        value = interpolate(text, environ=environ, folder=Path("/nowhere"))
    except CannotInterpolate:
        return
    shown = value.text if isinstance(value, Interpolated) else value
    assert "${" not in shown or "$$" in text


# Files


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\n"])
def test_file_is_read_without_its_last_line_break(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_bytes(content.encode())

    assert filled("${file:token}", tmp_path) == "s3cret"
    assert filled(f"Bearer ${{file:{tmp_path}/token}}") == "Bearer s3cret"


@pytest.mark.fault("F7")
def test_unusable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "lines").write_text("a\nb\n")
    os.mkfifo(tmp_path / "pipe")

    assert refusal("${file:none}", tmp_path) == "${file:none}: no such file"
    assert refusal("${file:empty}", tmp_path) == "${file:empty}: the file is empty"
    assert refusal("${file:pipe}", tmp_path) == (
        "${file:pipe}: expected a regular file, got a pipe"
    )
    assert refusal("${file:lines}", tmp_path).endswith(
        "holds a line break or another control character"
    )


# What it is and shows


def test_interpolated_value_is_not_shown() -> None:
    whole = Interpolated("s3cret", "${TOKEN}", is_whole=True)
    part = Interpolated("Bearer s3cret", "${TOKEN}", is_whole=False)

    assert "s3cret" not in repr(whole) + repr(part)
    assert str(whole) == "the value of ${TOKEN}"
    assert str(part) == "a string with ${TOKEN} in it"


def test_default_is_no_part_of_what_is_shown() -> None:
    value = interpolate("${NONE:-s3cret}", environ={}, folder=Path())

    assert str(value) == "the value of ${NONE}"


def test_every_string_of_a_tree_is_filled_and_every_failure_told() -> None:
    findings: list[tuple[tuple[str | int, ...], str]] = []
    tree = {"a": ["$$", {"b${PORT}": "${PORT}"}, "${NONE}"], "n": 5, "c": {"d": "${MISSING}"}}

    result = interpolate_tree(
        tree, lambda text: interpolate(text, environ=ENVIRON, folder=Path()), findings
    )

    assert result == {
        "a": ["$", {"b${PORT}": Interpolated("9464", "${PORT}", is_whole=True)}, Unresolved()],
        "n": 5,
        "c": {"d": Unresolved()},
    }
    assert findings == [
        (("a", 2), "the environment variable NONE is not set"),
        (("c", "d"), "the environment variable MISSING is not set"),
    ]
