"""What a client has to show."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.config import Secret
from hypervisor_observability.serving.credentials import Credentials


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.fault("P4")
@given(st.text(max_size=60))
def test_no_header_but_the_right_one_is_admitted(shown: str) -> None:
    credentials = Credentials("u", Secret("p"), Secret("t"))
    right = {basic("u", "p"), "Bearer t"}

    admitted = credentials.admit(shown)

    scheme, _, rest = shown.partition(" ")
    assert admitted == (f"{scheme.capitalize()} {rest.strip(' ')}" in right)


@pytest.mark.parametrize(
    ("only", "shown", "admitted"),
    [
        (Credentials("u", Secret("p")), basic("u", "p"), True),
        (Credentials("u", Secret("p")), "Bearer ", False),
        (Credentials(bearer_token=Secret("t")), "Bearer t", True),
        (Credentials(bearer_token=Secret("t")), basic("", ""), False),
        (Credentials(), None, True),
    ],
)
def test_what_is_not_set_lets_nobody_in(
    only: Credentials, shown: str | None, admitted: bool
) -> None:
    assert only.admit(shown) is admitted
    assert only.admit(None) is (not only.are_asked_for)


@pytest.mark.fault("P4")
@pytest.mark.parametrize(
    "shown",
    [None, "", "Bearer", "Bearer t", "Bearer token", "Bearer " + "x" * 5_000, basic("u", "p")],
)
def test_comparison_takes_the_same_steps_whatever_is_shown(
    monkeypatch: pytest.MonkeyPatch, shown: str | None
) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr("hypervisor_observability.serving.credentials.hmac.compare_digest", compare)
    Credentials("u", Secret("p"), Secret("token")).admit(shown)

    # User, password and token: digests of one length.
    assert compared == [(32, 32)] * 3
