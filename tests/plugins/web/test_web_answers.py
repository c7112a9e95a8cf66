"""JSON as the page gets it."""

import json
from http import HTTPStatus

import pytest

from hypervisor_web.answers import error_page, json_line, json_page, unchanged


def test_json_is_compact_and_in_ascii() -> None:
    page = json_page({"name": "wörk", "rows": [1, None]})

    assert page.body == b'{"name":"w\\u00f6rk","rows":[1,null]}'
    assert page.content_type == "application/json; charset=utf-8"
    assert page.status is HTTPStatus.OK


def test_half_a_surrogate_pair_survives() -> None:
    assert json.loads(json_page(["\ud800"]).body) == ["\ud800"]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_number_that_json_does_not_have_is_an_error(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_page([number])


def test_value_that_json_does_not_have_is_an_error() -> None:
    with pytest.raises(TypeError):
        json_page({"when": object()})


def test_line_of_a_stream_is_one_line() -> None:
    assert json_line({"text": "a\nb\u2028c"}) == b'{"text":"a\\nb\\u2028c"}\n'


def test_error_says_what_is_wrong() -> None:
    page = error_page(HTTPStatus.BAD_REQUEST, "no such type")

    assert json.loads(page.body) == {"error": "no such type"}
    assert page.status is HTTPStatus.BAD_REQUEST


def test_unchanged_has_no_body() -> None:
    assert (unchanged().status, unchanged().body) == (HTTPStatus.NO_CONTENT, b"")
