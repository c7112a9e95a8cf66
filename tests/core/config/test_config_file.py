import os
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hypervisor_observability.config.file import (
    MAX_FILE_BYTES,
    Document,
    UnusableFile,
    parse_document,
    read_document,
    read_text,
)
from hypervisor_observability.config.toml_lines import KeyPath, TooComplex, key_lines


def refusal_of(text: str) -> UnusableFile:
    with pytest.raises(UnusableFile) as caught:
        parse_document(text)
    return caught.value


def file_with(folder: Path, content: bytes) -> Path:
    path = folder / "hypervisor.toml"
    path.write_bytes(content)
    path.chmod(0o644)
    return path


# What a file may be


def test_plain_file_is_read(tmp_path: Path) -> None:
    document = read_document(file_with(tmp_path, b'service = "x"\n[bus]\nmax_events = 5\n'))

    assert document.values == {"service": "x", "bus": {"max_events": 5}}
    assert document.lines == {("service",): 1, ("bus",): 2, ("bus", "max_events"): 3}


@pytest.mark.fault("F1")
@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"", None, "the file is empty, expected at least one key or comment"),
        (b" \r\n\n", None, "the file is empty, expected at least one key or comment"),
        (b"a = 1\nb = '\x00'\n", 2, "holds a NUL character, expected UTF-8 text"),
        (b"a = 1\n# caf\xe9\n", 2, "expected UTF-8 text, got the byte 0xe9"),
        (b"a = 1\n" * 20_000, None, "the file is longer than 65536 bytes"),
        ("a = 1".encode("utf-16"), 1, "holds a NUL character, expected UTF-8 text"),
    ],
)
def test_file_that_is_no_text_is_refused(
    tmp_path: Path, content: bytes, line: int | None, message: str
) -> None:
    with pytest.raises(UnusableFile) as caught:
        read_document(file_with(tmp_path, content))

    assert (caught.value.line, str(caught.value)) == (line, message)


@pytest.mark.fault("F1")
def test_missing_file_is_named_missing(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match=r"^no such file$"):
        read_document(tmp_path / "none.toml")


@pytest.mark.fault("F1")
def test_path_through_a_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match=r"^cannot be read: Not a directory$"):
        read_document(file_with(tmp_path, b"a = 1") / "x")


@pytest.mark.fault("F1")
def test_path_with_a_nul_is_refused() -> None:
    with pytest.raises(UnusableFile, match="the path holds a NUL character"):
        read_document(Path("a\0b"))


@pytest.mark.fault("F1")
@pytest.mark.parametrize("kind", ["directory", "pipe", "device"])
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "hypervisor.toml"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path("/dev/null")
    refusals: list[UnusableFile] = []

    def read() -> None:
        try:
            read_document(path)
        except UnusableFile as error:
            refusals.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(timeout=10)

    assert [str(error) for error in refusals] == [f"expected a regular file, got a {kind}"]


@pytest.mark.fault("F1")
def test_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge.toml"
    with path.open("wb") as file:
        file.truncate(2**30)

    with pytest.raises(UnusableFile, match=f"longer than {MAX_FILE_BYTES} bytes"):
        read_document(path)


@pytest.mark.fault("F1")
@pytest.mark.parametrize("text", ["\ufeffa = 1\n", "a = 1\r\n"])
def test_marks_of_windows_editors_are_taken(text: str) -> None:
    assert parse_document(text).values == {"a": 1}


def test_file_of_comments_is_empty_but_valid() -> None:
    assert parse_document("# nothing set yet\n") == Document({}, {})


@pytest.mark.fault("F4")
def test_world_writable_file_is_refused(tmp_path: Path) -> None:
    path = file_with(tmp_path, b"a = 1")
    path.chmod(0o666)

    with pytest.raises(UnusableFile, match=r"everybody may write the file \(mode 0666\), expected"):
        read_document(path)


def test_other_texts_may_be_world_writable(tmp_path: Path) -> None:
    path = file_with(tmp_path, b"text")
    path.chmod(0o666)

    assert read_text(path) == "text"


# What is no TOML


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a = 1\nb 2\n", 2, "Expected '=' after a key in a key/value pair (column 3)"),
        ("a = 1\r\nb = \r\n", 2, "Invalid value (column 5)"),
        ("a = [1,\n2\n\n\n", 2, "Unclosed array (at the end)"),
        ("a = 1\na = 2\n", 2, "Cannot overwrite a value (column 6)"),
        ('a = "', 1, "Unterminated string (at the end)"),
    ],
)
def test_broken_toml_is_told_with_its_line(text: str, line: int, message: str) -> None:
    refusal = refusal_of(text)

    assert (refusal.line, str(refusal)) == (line, f"not valid TOML: {message}")


@pytest.mark.fault("F2")
@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = 1\n" + "a." * 20_000 + "a = 1", 2, "a key has more than 32 dots"),
        ('"a".' * 10_000 + "a = 1", 1, "a key has more than 32 dots"),
        ("[" + "a." * 20_000 + "a]", 1, "a key has more than 32 dots"),
        ("x = {" + "a." * 20_000 + "a = 1}", 1, "a key has more than 32 dots"),
        ("a = " + "[" * 30_000, 1, "a value is nested deeper than 16 brackets"),
        ("a = " + "{a = " * 10_000, 1, "a value is nested deeper than 16 brackets"),
        ("".join(f"[a{n}.b.c.d]\n" for n in range(4_000)), 257, "more than 256 tables"),
        ("[[a]]\n" * 9_000, 257, "more than 256 tables"),
        ("".join(f"k{n} = 1\n" for n in range(5_000)), 2_001, "more than 2000 keys"),
        ("\na = " + "1" * 10_000, 2, "not valid TOML: a number has too many digits"),
    ],
)
def test_toml_bomb_is_refused_at_once(text: str, line: int, message: str) -> None:
    start = time.process_time()
    refusal = refusal_of(text)
    spent = time.process_time() - start

    assert (refusal.line, str(refusal)) == (line, message)
    assert spent < 5, "tomllib alone takes up to 13 s"


@pytest.mark.fault("F2")
@pytest.mark.parametrize(
    "text",
    [
        "\n".join(".".join("abcdefghijklmnopqrstuvwxyzABCDEFG") + f"{n} = 1" for n in range(280)),
        "".join(f"[{'.'.join('abcdefgh' * 4)}{n}]\n" for n in range(256)),
        "a = [" + "1.5, " * 4_900 + "]",
        "a = '''" + "\n[x]\n" * 13_000 + "'''",
        'a = """' + '\\"""' * 16_000 + ' """',
        'a = "' + '\\"' * 32_000 + '"',
        "a = " + "1" * 60_000 + ".0",
        "a = 0x" + "f" * 60_000,
        "".join(f'"\\u0061{n}" = 1\n' for n in range(2_000)),
    ],
)
def test_largest_files_within_the_limits_are_read_in_little_time(text: str) -> None:
    assert len(text) <= MAX_FILE_BYTES
    start = time.process_time()
    parse_document(text)

    assert time.process_time() - start < 5


@pytest.mark.fault("F2")
@pytest.mark.parametrize("mark", ["]", "{", ",", "[", "=", ".", '"""', '"', "'", "\n[", "a.", "a,"])
def test_any_mark_may_be_repeated_at_will(mark: str) -> None:
    for text in (mark * 20_000, "a = " + mark * 20_000, "a = [" + mark * 20_000):
        start = time.process_time()
        refusal_of(text)

        assert time.process_time() - start < 5


# The lines


def test_lines_of_every_form_of_key() -> None:
    text = """\
a = 1 # b = 2
"quoted # [key]" = 2
'literal' . "\\u0064otted" = 3

[ plugins . "statsd" ]
port = 8125

[[hosts]]
name = "a"
[[hosts]]
name = "b"
[hosts.limits]
cpu = 1
[[hosts.disks]]
size = { gib = 10, raid.level = 5 }
list = [
  # none yet
  1,
  { x = 1 },
  [ 2, 3 ],
]
"""
    assert key_lines(text) == {
        ("a",): 1,
        ("quoted # [key]",): 2,
        ("literal",): 3,
        ("literal", "dotted"): 3,
        ("plugins",): 5,
        ("plugins", "statsd"): 5,
        ("plugins", "statsd", "port"): 6,
        ("hosts",): 8,
        ("hosts", 0): 8,
        ("hosts", 0, "name"): 9,
        ("hosts", 1): 10,
        ("hosts", 1, "name"): 11,
        ("hosts", 1, "limits"): 12,
        ("hosts", 1, "limits", "cpu"): 13,
        ("hosts", 1, "disks"): 14,
        ("hosts", 1, "disks", 0): 14,
        ("hosts", 1, "disks", 0, "size"): 15,
        ("hosts", 1, "disks", 0, "size", "gib"): 15,
        ("hosts", 1, "disks", 0, "size", "raid"): 15,
        ("hosts", 1, "disks", 0, "size", "raid", "level"): 15,
        ("hosts", 1, "disks", 0, "list"): 16,
        ("hosts", 1, "disks", 0, "list", 0): 18,
        ("hosts", 1, "disks", 0, "list", 1): 19,
        ("hosts", 1, "disks", 0, "list", 1, "x"): 19,
        ("hosts", 1, "disks", 0, "list", 2): 20,
        ("hosts", 1, "disks", 0, "list", 2, 0): 20,
        ("hosts", 1, "disks", 0, "list", 2, 1): 20,
    }


def test_table_named_after_its_children_has_its_own_line() -> None:
    assert key_lines("[a.b]\n[a]\n")[("a",)] == 2


QUOTES = ['"{} # x"', "'{} = [y]'", '"{}\\t\\"."', '"{}"', "{}", "{}", '"\\u00e9{}"']
FAKE = "\n[fake]\nkey = 1 # no comment\n'''"  # inside basic strings
FAKE_LITERAL = '\n[[fake]]\n"key" = 1\n"""\\'


class Writer:
    """Writes TOML in which every leaf holds the number of its own line."""

    def __init__(self, draw: Any) -> None:
        self.draw, self.text, self.names = draw, "", 0

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def key(self) -> str:
        self.names += 1
        return str(self.pick(*QUOTES).format(f"k{self.names}"))

    def dotted(self) -> str:
        parts = [self.key() for _ in range(self.pick(1, 1, 2, 3))]
        return str(self.pick(".", " . ")).join(parts)

    def leaf(self) -> str:
        line = self.text.count("\n") + 1
        return str(
            self.pick(
                f"{line}",
                f'"{line}| # [x] \\" \\\\"',
                f"'{line}| \"{{'",
                f'"""{line}|{FAKE} "" \\""" """"',
                f'"""\n{line}|{FAKE}"""',
                f"'''{line}|{FAKE_LITERAL} ''\n'''",
            )
        )

    def value(self, depth: int, *, inline: bool) -> None:
        kind = self.pick("leaf", "leaf", "array", "table") if depth else "leaf"
        if kind == "leaf":
            self.text += self.leaf()
        elif kind == "array":
            self.text += "["
            for _ in range(self.pick(0, 1, 3)):
                self.text += self.pick("", " ", "\n", "\n # ] , }\n", "\n\n")
                self.value(depth - 1, inline=True)
                self.text += self.pick(",", " ,")
            self.text += "]"
        else:
            self.text += "{ "
            for index in range(self.pick(0, 1, 2)):
                self.text += (", " if index else "") + self.dotted() + " = "
                self.value(depth - 1, inline=True)
            self.text += " }"

    def entries(self) -> None:
        for _ in range(self.pick(0, 1, 2, 3)):
            self.text += self.pick("", "\n", "# x = 1\n", "  ")
            self.text += self.dotted() + self.pick(" = ", "=")
            self.value(3, inline=False)
            self.text += self.pick("\n", " # [c]\n", "\n\n")


@st.composite
def documents(draw: Any) -> str:
    writer = Writer(draw)
    writer.entries()
    arrays: list[str] = []
    for _ in range(writer.pick(0, 1, 3, 5)):
        kind = writer.pick("table", "array", "again", "inside")
        if arrays and kind == "again":
            writer.text += f"[[{arrays[-1]}]]\n"
        elif arrays and kind == "inside":
            writer.text += f"[{arrays[-1]}.{writer.key()}]\n"
        elif kind == "array":
            arrays.append(writer.dotted())
            writer.text += f"[[ {arrays[-1]} ]]  # new\n"
        else:
            writer.text += f"[{writer.dotted()}]\n"
        writer.entries()
    return writer.text


def leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, int]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, int(str(value).partition("|")[0])


@given(documents())
@settings(max_examples=300, deadline=None)
def test_every_leaf_of_any_document_has_its_line(text: str) -> None:
    lines = key_lines(text)

    for path, line in leaves(tomllib.loads(text)):
        assert lines[path] == line, path


@given(st.text(alphabet="ab=.[]{},\"'\\#\n \t1", max_size=60))
@example('"\\x" = 1')
@settings(max_examples=500, deadline=None)
def test_any_text_is_scanned_and_refused_only_for_its_limits(text: str) -> None:
    try:
        lines = key_lines(text)
    except TooComplex as error:
        lines = {(): error.line}
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
