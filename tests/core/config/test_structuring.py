import copy
import datetime
import enum
import json
import pickle  # noqa: TID251 - shows that a Secret refuses it
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import attrs
import pytest
from attrs import field, frozen
from attrs.validators import deep_iterable, ge, in_, instance_of, le, lt, matches_re, max_len
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.config import Secret
from hypervisor_observability.config.interpolation import Interpolated, Unresolved
from hypervisor_observability.config.structuring import Origin, structure
from hypervisor_observability.errors import ConfigProblem


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.StrEnum):
    LOW = "low"


class Number(enum.IntEnum):
    ONE = 1


@frozen
class Inner:
    url: str
    weight: float = 1.0


@frozen
class Login:
    user: str = "x"
    token: Secret = field(factory=lambda: Secret(""))


def problems_of(raw: object, type_: type, origin: Origin | None = None) -> list[str]:
    instance, problems = structure(raw, type_, origin or Origin())
    assert instance is None
    return [f"{problem.key}: {problem.message}" for problem in problems]


def taken(type_: Any, value: object, folder: Path | None = None) -> Any:
    holder: type[Any] = attrs.make_class("Holder", {"x": field(type=type_)})
    instance, problems = structure({"x": value}, holder, Origin(folder=folder))
    assert not problems, problems
    assert instance is not None
    return instance.x


def refused(type_: Any, value: object) -> str:
    holder: type[Any] = attrs.make_class("Holder", {"x": field(type=type_)})
    instance, problems = structure({"x": value}, holder, Origin())
    assert instance is None
    assert [problem.key for problem in problems] == ["x"]
    return problems[0].message


def whole(text: str) -> Interpolated:
    return Interpolated(text, "${V}", is_whole=True)


# Types


@pytest.mark.fault("F3")
@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        (bool, "false", "expected true or false, got the string 'false'"),
        (bool, 1, "expected true or false, got the integer 1"),
        (int, True, "expected an integer, got true"),
        (int, 9464.9, "expected an integer, got the number 9464.9"),
        (int, 1.0, "expected an integer, got the number 1.0"),
        (int, "5", "expected an integer, got the string '5'"),
        (int, 2**63, "expected an integer of 64 bits, got the integer 9223372036854775808"),
        (int, None, "expected an integer, got nothing"),
        (float, float("nan"), "expected a finite number, got the number nan"),
        (float, float("-inf"), "expected a finite number, got the number -inf"),
        (float, False, "expected a number, got false"),
        (float, 10**400, "expected an integer of 64 bits, got the integer of 1329 bits"),
        (str, 5, "expected a string, got the integer 5"),
        (str, datetime.date(2026, 1, 2), "expected a string, got the date or time 2026-01-02"),
        (str, {"a": 1}, "expected a string, got a table"),
        (str, b"x", "expected a string, got a bytes"),
        (Path, 5, "expected a path, got the integer 5"),
        (Path, "", "expected a path, got one that is empty or holds a NUL character"),
        (Path, "a\0b", "expected a path, got one that is empty or holds a NUL character"),
        (Path, "~/x", "'~' is not expanded, write the path in full or with ${HOME}"),
        (tuple[str, ...], "abc", "expected a list, got the string 'abc'"),
        (list[int], {"a": 1}, "expected a list, got a table"),
        (Sequence[int], 3, "expected a list, got the integer 3"),
        (tuple[int, str], [1], "expected a list of 2 values, got 1"),
        (dict[str, int], [1], "expected a table, got a list"),
        (Mapping[str, int], "x", "expected a table, got the string 'x'"),
        (Literal["a", 1], "b", "expected one of 'a', 1, got the string 'b'"),
        (Literal[1], True, "expected one of 1, got true"),
        (Colour, "RED", "expected one of 'red', 'blue', got the string 'RED'"),
        (Level, "high", "expected one of 'low', got the string 'high'"),
        (Number, 2, "expected one of 1, got the integer 2"),
        (int | None, "x", "expected an integer, got the string 'x'"),
        (int | str, 1.5, "expected an integer or a string, got the number 1.5"),
        (Inner, "x", "expected a table, got the string 'x'"),
        (Secret, 5, "expected a string, got an integer"),
        (Secret | None, True, "expected a string, got a boolean"),
        (list[Secret], "hunter2", "expected a list, got a string"),
        (Login, "hunter2", "expected a table, got a string"),
        (Any, Interpolated("", "", is_whole=True), None),
    ],
)
def test_wrong_types_are_refused(type_: Any, value: object, message: str | None) -> None:
    if message is None:
        assert taken(type_, value) == ""
    else:
        assert refused(type_, value) == message


@pytest.mark.parametrize(
    ("type_", "value", "result"),
    [
        (bool, True, True),
        (int, -(2**63), -(2**63)),
        (float, 3, 3.0),
        (float, 0.5, 0.5),
        (str, "x", "x"),
        (tuple[str, ...], ["a"], ("a",)),
        (tuple[str, ...], ("a",), ("a",)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple, [1, "a"], (1, "a")),
        (list[int], [1], [1]),
        (frozenset[str], ["a", "a"], frozenset("a")),
        (Sequence[int], [1], (1,)),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (dict, {"a": 1}, {"a": 1}),
        (Literal["a", 1], 1, 1),
        (Colour, "red", Colour.RED),
        (Colour, Colour.RED, Colour.RED),
        (Level, "low", Level.LOW),
        (Number, 1, Number.ONE),
        (int | None, 5, 5),
        (int | None, None, None),
        (int | str, "x", "x"),
        (Inner, {"url": "u"}, Inner("u")),
        (Inner, Inner("u"), Inner("u")),
        (Any, {"a": [whole("x"), 1]}, {"a": ["x", 1]}),
        (Secret, "x", Secret("x")),
        (Secret, Secret("x"), Secret("x")),
        (Path, Path("x"), Path("x")),
        (Path, "x", Path("x")),
    ],
)
def test_right_types_are_taken(type_: Any, value: object, result: object) -> None:
    instance = taken(type_, value)

    assert instance == result
    assert type(instance) is type(result)


def test_relative_path_starts_at_the_folder() -> None:
    assert taken(Path, "a/b", Path("/etc/x")) == Path("/etc/x/a/b")
    assert taken(Path, "/var/b", Path("/etc/x")) == Path("/var/b")
    assert taken(Path, whole("b"), Path("/etc/x")) == Path("/etc/x/b")


@pytest.mark.fault("F3")
def test_integer_that_python_cannot_write_is_refused() -> None:
    message = "expected an integer of 64 bits, got the integer of 240001 bits"

    assert refused(int, 16**60_000) == message


class Pair(NamedTuple):
    x: int


@pytest.mark.parametrize("type_", [bytes, complex, Pair, dict[int, int]])
def test_field_without_a_toml_form_is_told_to_be_so(type_: Any) -> None:
    assert "which has no TOML form" in refused(type_, {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.fault("F3")
@given(JSON, st.sampled_from([bool, int, float, str]))
def test_nothing_is_converted_but_integers_to_numbers(value: object, type_: type) -> None:
    holder: type[Any] = attrs.make_class("Holder", {"x": field(type=type_)})
    instance, problems = structure({"x": value}, holder, Origin())

    if instance is None:
        assert len(problems) == 1
    else:
        assert instance.x == value
        assert type(value) is type_ or (type_ is float and type(value) is int)


# Values of variables


@pytest.mark.parametrize(
    ("type_", "text", "result"),
    [
        (int, "9464", 9464),
        (int, "-1", -1),
        (float, "0.5", 0.5),
        (float, "1e3", 1000.0),
        (float, "2", 2.0),
        (bool, "true", True),
        (bool, "false", False),
        (str, "9464", "9464"),
        (Literal["a", 1], "1", 1),
        (Colour, "red", Colour.RED),
        (Level, "low", Level.LOW),
        (int | None, "5", 5),
        (Secret, "x", Secret("x")),
    ],
)
def test_whole_value_is_converted_to_the_type_of_its_field(
    type_: Any, text: str, result: object
) -> None:
    assert taken(type_, whole(text)) == result


@pytest.mark.fault("F7")
@pytest.mark.parametrize(
    ("type_", "text", "message"),
    [
        (int, "s3cret", "expected an integer, got the value of ${V}"),
        (int, "٣", "expected an integer, got the value of ${V}"),
        (int, "1_0", "expected an integer, got the value of ${V}"),
        (int, "9" * 20, "expected an integer of 64 bits, got the value of ${V}"),
        (float, "nan", "expected a number, got the value of ${V}"),
        (float, "1e999", "expected a finite number, got the value of ${V}"),
        (bool, "yes", "expected true or false, got the value of ${V}"),
        (tuple[str, ...], "a,b", "expected a list, got the value of ${V}"),
        (Literal["a"], "s3cret", "expected one of 'a', got the value of ${V}"),
        (Inner, "s3cret", "expected a table, got the value of ${V}"),
    ],
)
def test_value_that_cannot_be_converted_is_not_shown(type_: Any, text: str, message: str) -> None:
    assert refused(type_, whole(text)) == message


def test_value_in_part_from_a_variable_is_text() -> None:
    part = Interpolated("1234", "${V}", is_whole=False)

    assert taken(str, part) == "1234"
    assert refused(int, part) == "expected an integer, got a string with ${V} in it"


@pytest.mark.parametrize("type_", [int, Any, list[int], Inner, int | str, Colour, dict[str, int]])
def test_unfilled_value_is_not_told_a_second_time(type_: Any) -> None:
    holder: type[Any] = attrs.make_class("Holder", {"x": field(type=type_)})
    value = [Unresolved()] if type_ is Any else Unresolved()

    instance, problems = structure({"x": value}, holder, Origin())

    assert (instance, problems) == (None, [])


# Classes


@frozen
class Limits:
    host: str
    port: int = field(default=8125, validator=[ge(1), le(65535)])
    dialect: str = field(default="etsy", validator=in_(("etsy", "influx")))
    prefix: str = field(default="", validator=[max_len(3), matches_re("[a-z]*")])
    share: float = field(default=0.5, validator=lt(1))
    kind: Any = field(default="", validator=instance_of(str))
    names: tuple[str, ...] = field(default=(), validator=deep_iterable(max_len(2)))
    _low: int = 0
    high: int = field(default=9)
    inner: tuple[Inner, ...] = ()
    made: int = field(init=False, default=1)

    @high.validator
    def _check_high(self, _: object, value: int) -> None:
        if value < self._low:
            raise ValueError(f"expected at least low ({self._low}), got {value}")


def test_every_problem_of_a_table_is_told_at_once() -> None:
    raw = {
        "prot": 1,
        "made": 2,
        "x y": 3,
        "port": 70_000,
        "dialect": "x",
        "prefix": "abcd",
        "share": 1,
        "kind": 5,
        "names": ["abc"],
        "low": 3,
        "high": 2,
        "inner": [{"url": "u"}, {"url": 5, "wait": 1}, {}],
    }

    assert problems_of(raw, Limits) == [
        "prot: unknown key (did you mean 'port'?)",
        "made: unknown key",
        "'x y': unknown key",
        "inner[1].url: expected a string, got the integer 5",
        "inner[1].wait: unknown key (did you mean 'weight'?)",
        "inner[2].url: missing, expected a string",
        "host: missing, expected a string",
        "port: expected at most 65535, got 70000",
        "dialect: expected one of 'etsy', 'influx', got 'x'",
        "prefix: expected a length of at most 3, got 4",
        "share: expected less than 1, got 1.0",
        "kind: expected a value of type str, got 5",
        "names: expected a length of at most 2, got 3",
        "high: expected at least low (3), got 2",
    ]


def test_pattern_is_told_with_the_value() -> None:
    assert problems_of({"host": "", "prefix": "A"}, Limits) == [
        "prefix: expected a string that matches '[a-z]*', got 'A'"
    ]


def test_right_table_gives_the_instance() -> None:
    instance, problems = structure({"host": "h", "low": 1, "high": 1}, Limits, Origin())

    assert (instance, problems) == (Limits("h", low=1, high=1), [])


def test_problem_stands_on_the_line_of_its_key_or_of_the_table_around() -> None:
    origin = Origin("x.toml", None, {("p",): 3, ("p", "port"): 5})

    _, problems = structure({"port": 0}, Limits, origin, ("p",))

    assert problems == [
        ConfigProblem("x.toml", 3, "p.host", "missing, expected a string"),
        ConfigProblem("x.toml", 5, "p.port", "expected at least 1, got 0"),
    ]


@frozen
class Guarded:
    token: Secret = field(factory=lambda: Secret(""))
    url: str = field(default="")
    low: int = 0
    high: int = field(default=0)

    @token.validator
    def _check_token(self, _: object, value: Secret) -> None:
        if value.reveal() == "hunter2":
            raise ValueError(f"weak: {value.reveal()}")

    @url.validator
    def _check_url(self, _: object, value: str) -> None:
        if "//" not in value and value:
            raise ValueError(f"no scheme in {value}\n\x1b[0m")

    @high.validator
    def _check_high(self, _: object, value: int) -> None:
        if value < self.low:
            raise ValueError

    def __attrs_post_init__(self) -> None:
        if self.low == 13:
            raise RuntimeError(f"13 brings bad luck to {self.token.reveal()}")


def folded(text: str) -> str:
    return text.casefold()


@frozen
class Doubtful:
    x: int = 0
    name: str = field(default="", converter=folded, validator=max_len(3))

    kind: Any = field(default=0, validator=instance_of((int, float)))

    def __attrs_post_init__(self) -> None:
        if self.x == 1:
            raise RuntimeError("1 brings bad luck")


def test_secret_is_not_shown_by_the_words_of_a_validator() -> None:
    problems = problems_of({"token": "hunter2", "url": whole("s3cret")}, Guarded)

    assert problems == [
        "token: the value is not accepted (the reason is not shown: it may hold the secret)",
        "url: no scheme in ${V}\\n\\x1b[0m",
    ]


def test_number_of_a_variable_is_not_shown_by_a_bound() -> None:
    assert problems_of({"host": "", "port": whole("70000")}, Limits) == [
        "port: expected at most 65535, got the value of ${V}"
    ]
    assert problems_of({"host": "", "names": [whole("s3cret")]}, Limits) == [
        "names: expected a length of at most 2, got a list"
    ]


def test_words_of_an_error_may_be_missing() -> None:
    assert problems_of({"high": -1}, Guarded) == ["high: ValueError"]


def test_check_that_needs_a_field_that_does_not_fit_waits_for_it() -> None:
    @frozen
    class Pair:
        low: int
        high: int = field()

        @high.validator
        def _check_high(self, _: object, value: int) -> None:
            if value < self.low:
                raise ValueError("too low")

    assert problems_of({"low": "x", "high": 1}, Pair) == [
        "low: expected an integer, got the string 'x'"
    ]


def test_checks_of_the_finished_instance_are_told_too() -> None:
    assert problems_of({"low": 13, "high": 13}, Guarded) == [
        ": the value is not accepted (the reason is not shown: it may hold the secret)"
    ]
    assert problems_of({"x": 1}, Doubtful) == [": 1 brings bad luck"]
    assert problems_of({"name": "ABCD"}, Doubtful) == [
        "name: expected a length of at most 3, got 4"
    ]


def test_other_words_of_attrs_are_kept() -> None:
    (problem,) = problems_of({"kind": whole("s3cret")}, Doubtful)

    assert problem.startswith("kind: 'kind' must be (<class 'int'>, <class 'float'>) (got '${V}'")


@pytest.mark.parametrize("raw", [5, "x", None, ["a"]])
def test_what_is_no_table_is_told(raw: object) -> None:
    assert problems_of(raw, Inner)[0].startswith(": expected a table, got")


@pytest.mark.parametrize("type_", [int, str, dict])
def test_class_that_is_no_attrs_class_is_told(type_: type) -> None:
    assert "is not a class that can be read" in problems_of({"a": 1}, type_)[0]


def test_class_with_an_unknown_annotation_is_told() -> None:
    broken = attrs.make_class("Broken", {"x": field(type="Nowhere")})  # type: ignore[call-overload] # what `from __future__ import annotations` leaves behind

    assert "name 'Nowhere' is not defined" in problems_of({"x": 1}, broken)[0]


# Words


def test_long_and_odd_values_are_cut_and_harmless() -> None:
    long = "a" * 100
    assert refused(int, long) == f"expected an integer, got the string '{'a' * 37}...'"
    assert refused(int, "\x1b]0;\u202e") == "expected an integer, got the string '\\x1b]0;\\u202e'"
    assert len(refused(int, "\x1b" * 100)) < 100
    (problem,) = problems_of({"url": "", "k" * 500 + "\x1b": 1}, Inner)
    assert re.fullmatch(r"'k{37}\.\.\.': unknown key", problem)


# Secret


def test_secret_is_masked_everywhere() -> None:
    secret = Secret("hunter2")
    holder = Login("u", secret)

    shown = f"{secret} {secret!r} {secret:>10} {secret!s} {holder} {attrs.asdict(holder)}"
    assert "hunter2" not in shown
    assert "***" in shown
    assert secret.reveal() == "hunter2"


def test_secret_is_neither_pickled_nor_encoded() -> None:
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(Secret("hunter2"))
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(Secret("hunter2"))
    assert not hasattr(Secret("hunter2"), "__dict__")


def test_secret_is_a_value() -> None:
    secret = Secret("a")

    assert secret == Secret("a")
    assert secret != Secret("b")
    assert secret != "a"
    assert hash(secret) == hash(Secret("a"))
    assert bool(secret)
    assert not Secret("")
    assert copy.copy(secret) is secret
    assert copy.deepcopy(secret) is secret


def test_secret_of_another_type_is_refused_without_showing_it() -> None:
    with pytest.raises(TypeError, match=r"^a Secret holds a string, not int$"):
        Secret(12345)  # type: ignore[arg-type] # the mistake under test


def test_toml_values_come_as_they_are() -> None:
    raw = tomllib.loads("url = 'u'\nweight = 2")

    assert structure(raw, Inner, Origin()) == (Inner("u", 2.0), [])
