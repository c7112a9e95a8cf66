"""What an answer means: pure, from status, headers and body."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_otel.answers import Accepted, judge, printable, retry_after_seconds
from hypervisor_otel.connection import Answer
from tests.plugins.otel.acts import partial_success

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
PROTOBUF = "application/x-protobuf"


def verdict(answer: Answer) -> Accepted:
    return judge(answer, address="http://h/v1/traces", now_seconds=NOW.timestamp())


@pytest.mark.parametrize("status", [200, 202, 204])
def test_success_without_a_body_accepts_all(status: int) -> None:
    assert verdict(Answer(status)) == Accepted()


def test_partial_success_tells_how_many_and_why() -> None:
    answer = Answer(200, PROTOBUF, None, partial_success(3, "too old\n\x1b[31m"))

    assert verdict(answer) == Accepted(3, "too old [31m")


def test_negative_count_is_none() -> None:
    assert verdict(Answer(200, PROTOBUF, None, partial_success(-3, ""))) == Accepted()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, PROTOBUF, None, b"\xff\xff\xff"),
        Answer(200, "text/html", None, b"<html>"),
        Answer(200, PROTOBUF, None, b"\0" * 10, is_whole=False),
    ],
)
def test_strange_body_of_a_success_is_accepted_and_noted(answer: Answer) -> None:
    assert not verdict(answer).is_understood


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_busy_backend_is_to_be_asked_again(status: int) -> None:
    with pytest.raises(RetryLater, match=f"answered {status}") as raised:
        verdict(Answer(status, retry_after="7"))

    assert raised.value.after == 7


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_redirect_is_refused(status: int) -> None:
    with pytest.raises(Reject, match=f"{status}: redirects are not followed"):
        verdict(Answer(status))


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, ""),
        (401, "credentials"),
        (403, "credentials"),
        (404, "no OTLP receiver"),
        (413, "too large"),
        (415, "http/protobuf"),
        (500, ""),
        (501, ""),
        (100, ""),
        (999, ""),
    ],
)
def test_other_status_is_refused_naming_address_and_status(status: int, hint: str) -> None:
    with pytest.raises(Reject, match=f"^http://h/v1/traces answered {status}.*{hint}"):
        verdict(Answer(status))


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        # A google.rpc.Status: field 1 is the code, field 2 the message.
        (PROTOBUF, b"\x08\x03\x12\x07bad ids", "400: bad ids"),
        (PROTOBUF, b"\xff", "400$"),
        ("text/plain", b"bad\nids \xff", "400: bad ids"),
        ("application/json", b'{"message": "no"}', "message"),
        ("text/html", b"<html>", "400$"),
    ],
)
def test_reason_of_a_refusal_is_passed_on(kind: str, body: bytes, said: str) -> None:
    with pytest.raises(Reject, match=said):
        verdict(Answer(400, kind, None, body))


def test_what_a_server_said_is_one_short_printable_line() -> None:
    line = printable("a\r\nb\x1b]0;x\x07\u202ec " + "d" * 10_000)

    assert line.startswith("a b ]0;x c d")
    assert line.endswith("...")
    assert len(line) == 200


@pytest.mark.fault("O5")
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", None),
        (" 12 ", 12),
        ("300", 300),
        ("301", 300),
        ("9" * 60_000, 300),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        (format_datetime(NOW + timedelta(seconds=20), usegmt=True), 20),
        (format_datetime(NOW - timedelta(days=2), usegmt=True), None),
        ("Thu, 01 Oct 2026 12:00:05 -0000", 5),
        ("Thu, 01 Oct 9999 12:00:00 GMT", 300),
        ("Thu, 01 Oct 99999999999 12:00:00 GMT", None),
        ("Thu, 41 Oct 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_five_minutes(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(header, now_seconds=NOW.timestamp()) == seconds


@given(st.text(max_size=40))
def test_any_retry_after_gives_a_bounded_wait_or_none(header: str) -> None:
    seconds = retry_after_seconds(header, now_seconds=NOW.timestamp())

    assert seconds is None or 0 < seconds <= 300


@given(st.integers(100, 599), st.binary(max_size=60))
def test_any_answer_is_accepted_refused_or_to_be_repeated(status: int, body: bytes) -> None:
    try:
        verdict(Answer(status, PROTOBUF, None, body))
    except (Reject, RetryLater):
        assert status not in range(200, 300)
    else:
        assert status in range(200, 300)
