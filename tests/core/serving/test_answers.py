"""What stands around every answer, and what a site refuses by its own rules."""

from collections.abc import Callable
from http import HTTPStatus

import pytest

from hypervisor_observability.config import Secret
from hypervisor_observability.serving.credentials import Credentials
from hypervisor_observability.serving.hosts import Hosts
from hypervisor_observability.serving.pages import Page
from hypervisor_observability.serving.site import SAFE_HEADERS
from tests.core.serving.served_site import OPEN, ServedSite

Serve = Callable[..., ServedSite]
TOKEN = Secret("t0ken")
RIGHT = "Bearer t0ken"


@pytest.mark.fault("P2")
@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/page", "GET", 200),
        ("/ticks", "HEAD", 200),
        ("/none", "GET", 404),
        ("/page", "POST", 405),
        ("/page", "OPTIONS", 405),
        ("/page", "TRACE", 405),
        ("/%zz", "GET", 400),
    ],
)
def test_every_answer_has_the_headers_of_the_site_and_lends_nothing(
    served: ServedSite, path: str, method: str, status: int
) -> None:
    answer = served.ask(path, method)

    assert answer.status == status
    assert {name: answer.headers[name] for name in SAFE_HEADERS} == SAFE_HEADERS
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert answer.headers["Server"] == "hypervisor-test"


def test_answer_for_want_of_a_thread_has_them_too(serve: Serve) -> None:
    answer = serve(max_connections=0).raw_answer(b"")

    head, _, body = answer.decode().partition("\r\n\r\n")
    status, *headers = head.split("\r\n")
    assert status == "HTTP/1.0 503 Service Unavailable"
    assert {f"{name}: {value}" for name, value in SAFE_HEADERS.items()} <= {*headers}
    assert "Retry-After: 2" in headers
    assert body == "503 Service Unavailable: too many requests at once\n"


def test_page_that_may_be_kept_is_sent_once(serve: Serve) -> None:
    served = serve()
    kept = Page("text/css", b"a {}", tag="v1")
    served.server.site.pages["/kept"] = lambda _: kept  # type: ignore[index]  # a dict here
    first = served.ask("/kept")
    again = served.ask("/kept", If_None_Match=f'"x", {first.headers["ETag"]}')

    assert (first.status, first.headers["Cache-Control"]) == (200, "no-cache")
    assert (again.status, again.body) == (304, b"")
    assert "Content-Length" not in again.headers
    assert served.ask("/kept", If_None_Match='W/"v2"').status == 200


def test_error_is_told_as_the_site_does(serve: Serve) -> None:
    def told(status: HTTPStatus, text: str) -> Page:
        return Page("text/x-told", f"{status.value}={text}".encode())

    answer = serve(error_page=told, not_found="look elsewhere").ask("/none")

    assert answer.body == b"404=look elsewhere"
    assert answer.headers["Content-Type"] == "text/x-told"


def test_site_may_do_without_compression(serve: Serve) -> None:
    answer = serve(compressed=False).ask(Accept_Encoding="gzip")

    assert "Content-Encoding" not in answer.headers


@pytest.mark.fault("P2")
def test_name_that_is_not_listed_is_told_so(serve: Serve) -> None:
    served = serve(hosts=Hosts(frozenset({"agents.example"})))

    assert served.ask(Host="agents.example:1").status == 200
    answer = served.ask(Host="attacker.example")
    assert answer.status == 421
    assert "does not answer to the name 'attacker.example'" in answer.text


@pytest.mark.fault("P4")
@pytest.mark.parametrize("name", ["token", "access_token", "bearer_token", "password"])
@pytest.mark.parametrize("path", ["/page", "/none", OPEN])
def test_secret_in_an_address_is_refused_though_it_is_right(
    serve: Serve, name: str, path: str
) -> None:
    served = serve(credentials=Credentials(bearer_token=TOKEN))
    answer = served.ask(f"{path}?{name}=t0ken", Authorization=RIGHT)

    assert answer.status == 400
    assert "stays in logs and histories" in answer.text


def test_site_without_secrets_has_none_in_its_addresses(served: ServedSite) -> None:
    assert served.ask("/page?token=x").status == 200


@pytest.mark.fault("P4")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin, cross-site"}, 403),
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
    ],
)
def test_pages_of_others_get_nothing_even_with_the_token(
    serve: Serve, headers: dict[str, str], status: int
) -> None:
    served = serve(credentials=Credentials(bearer_token=TOKEN), own_pages_only=True)

    assert served.ask(**headers, Authorization=RIGHT).status == status
    assert served.ask(OPEN, **headers).status == 200


def test_only_what_is_guarded_needs_the_token(serve: Serve) -> None:
    served = serve(credentials=Credentials(bearer_token=TOKEN), guarded="/t")

    assert served.ask("/page").status == 200
    assert served.ask("/none").status == 404
    assert served.ask("/ticks").status == 401
    assert served.ask("/%74icks").status == 401
    assert served.ask("//ticks").status == 401
    assert served.ask("/ticks", "HEAD", Authorization=RIGHT).status == 200
