"""The site of the page against whoever is not its viewer, with sockets of their own."""

import json
import logging
import threading
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from attrs import define, field

from hypervisor_observability.config import Secret
from hypervisor_observability.config.structuring import Origin, structure
from hypervisor_observability.serving.binding import bind
from hypervisor_observability.serving.pages import Page, Refused, Request
from hypervisor_observability.serving.server import SiteServer
from hypervisor_web.addresses import address, spare_ports
from hypervisor_web.answers import json_line, json_page
from hypervisor_web.config import DEFAULT_PORT, WebConfig
from hypervisor_web.site import make_site, token_for
from tests.core.serving.served_site import connect, raw_answer, read_all
from tests.http_client import Answer, ask
from tests.threads import run_in_threads
from tests.waiting import wait_until

TOKEN = "a-token-of-the-tests_0123456789"


@define(eq=False)
class Site:
    """The site of the page, with one answer and one stream that the test controls."""

    server: SiteServer
    closed: list[str] = field(factory=list)

    def ask(self, path: str, token: str | None = TOKEN, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            named["Authorization"] = f"Bearer {token}"
        return ask(self.server.server_port, path, headers=named)

    def raw(self, request: str) -> str:
        return raw_answer(self.server.server_port, request.encode("latin-1")).decode("latin-1")


def asked(request: Request) -> Page:
    """Say what was asked for."""
    if "bad" in request.query:
        raise Refused(HTTPStatus.BAD_REQUEST, "no such type: 'ring'")
    return json_page({"query": dict(request.query)})


@pytest.fixture
def site(caplog: pytest.LogCaptureFixture) -> Iterator[Site]:
    caplog.set_level(logging.DEBUG)
    config = WebConfig(port=0, token=Secret(TOKEN))
    closed: list[str] = []

    def live(request: Request) -> Iterator[bytes]:
        ended = threading.Event()
        request.ending.call(ended.set)
        try:
            yield json_line({"t": "view"})
            ended.wait(60)
        finally:
            closed.append(request.ending.why)

    made = make_site(
        config,
        token_for(config),
        logging.getLogger("tests.web"),
        {"/api/asked": asked},
        {"/api/live": live},
    )
    server = bind(config, made, "plugins.web.")
    server.start()
    yield Site(server, closed)
    server.stop()


def test_page_and_its_files_are_open_and_all_else_needs_the_token(site: Site) -> None:
    assert site.ask("/", None).headers["Content-Type"] == "text/html; charset=utf-8"
    assert site.ask("/js/main.js", None).headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert site.ask("/-/healthy", None).text == "healthy\n"
    assert site.ask("/api/asked", None).status == 401
    assert site.ask("/api/live", None).status == 401
    assert site.ask("/api/none", None).status == 401
    assert site.ask("/api/asked").status == 200


def test_errors_are_json_with_a_text_for_people(site: Site) -> None:
    found = {
        path: site.ask(path) for path in ("/api/asked?bad", "/api/none", "/none", "/api/asked?%zz")
    }

    assert [one.status for one in found.values()] == [400, 404, 404, 400]
    assert json.loads(found["/api/asked?bad"].body) == {"error": "no such type: 'ring'"}
    assert all(json.loads(one.body)["error"] for one in found.values())


@pytest.mark.parametrize("path", ["/", "/js/main.js", "/api/asked", "/api/live", "/none"])
def test_no_answer_may_be_framed_sniffed_kept_or_lent(site: Site, path: str) -> None:
    with connect(site.server.server_port) as client:
        client.sendall(f"HEAD {path} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        head = read_all(client).decode()

    for line in (
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
        "Cross-Origin-Opener-Policy: same-origin",
        "Cross-Origin-Resource-Policy: same-origin",
        "frame-ancestors 'none'",
        "default-src 'none'",
        "require-trusted-types-for 'script'; trusted-types 'none'",
        "Permissions-Policy: camera=()",
        "Cache-Control: no-",
    ):
        assert line in head
    assert "Access-Control" not in head
    assert "unsafe" not in head
    assert "Set-Cookie" not in head


@pytest.mark.parametrize(
    "token",
    ["", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), f"{TOKEN} {TOKEN}", "ä" * 31, "\x00" * 31],
)
def test_guessed_token_is_refused_and_told_nobody(
    site: Site, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = site.ask("/api/asked", token)

    assert answer.status == 401
    assert answer.headers.get_all("WWW-Authenticate") == ['Bearer realm="page"']
    assert TOKEN not in answer.text
    assert TOKEN not in caplog.text


def test_token_in_a_request_line_is_refused_and_never_logged(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [site.ask(f"/api/asked?token={TOKEN}"), site.ask(f"/?token={TOKEN}", None)]

    assert [one.status for one in answers] == [400, 400]
    assert "GET /api/asked" in caplog.text
    assert TOKEN not in caplog.text


def test_page_of_another_origin_gets_nothing_even_with_the_token(site: Site) -> None:
    for headers in (
        {"Origin": "http://localhost:8000"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site"},
    ):
        for path in ("/api/asked", "/api/live"):
            assert site.ask(path, **headers).status == 403
    assert site.ask("/api/asked", Sec_Fetch_Site="same-origin").status == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET /api/asked HTTP/1.1\r\nHost: attacker.example\r\n{auth}\r\n", 421),
        ("GET / HTTP/1.1\r\nHost: attacker.example\r\n\r\n", 421),
        ("GET http://attacker.example/api/asked HTTP/1.1\r\nHost: localhost\r\n{auth}\r\n", 421),
        ("GET http://localhost/api/asked HTTP/1.1\r\nHost: attacker.example\r\n{auth}\r\n", 421),
        ("GET http://localhost/api/asked HTTP/1.1\r\nHost: localhost\r\n{auth}\r\n", 200),
        ("GET /api/asked HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n{auth}\r\n", 400),
        ("GET /api/asked HTTP/1.1\r\nHost: a@localhost\r\n{auth}\r\n", 400),
        ("GET /api/asked\r\n", 400),
        ("GET /api/asked HTTP/3.0\r\n{auth}\r\n", 505),
        ("GET /{long} HTTP/1.1\r\n{auth}\r\n", 414),
        ("GET /api/asked?filter={long} HTTP/1.1\r\n{auth}\r\n", 414),
        ("GET /api/asked HTTP/1.1\r\nX: {huge}\r\n{auth}\r\n", 431),
        ("GET /api/asked HTTP/1.1\r\n{many}{auth}\r\n", 431),
        ("GET /api/%61sked HTTP/1.1\r\n{auth}\r\n", 200),
        ("GET /api%2Fasked HTTP/1.1\r\n\r\n", 401),
        ("GET /x/../api/asked HTTP/1.1\r\n\r\n", 404),
        ("GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
        ("GET /%2e%2e/config.py HTTP/1.1\r\n\r\n", 404),
        ("POST /api/asked HTTP/1.1\r\nContent-Length: 3\r\n{auth}\r\na=b", 405),
        ("OPTIONS /api/asked HTTP/1.1\r\nOrigin: null\r\n\r\n", 405),
        ("get /api/asked HTTP/1.1\r\n{auth}\r\n", 405),
    ],
)
def test_odd_request_is_answered_as_it_deserves(site: Site, request_: str, status: int) -> None:
    filled = request_.format(
        auth=f"Authorization: Bearer {TOKEN}\r\n",
        long="x" * 8_192,
        huge="x" * 65_600,
        many="X: y" + "y" * 800 + "\r\n" + ("X: " + "y" * 800 + "\r\n") * 90,
    )

    answer = site.raw(filled)

    # A request that was not read to its end may reset the connection before the answer.
    assert answer.startswith(f"HTTP/1.0 {status} ") or (status == 431 and not answer)
    assert site.ask("/api/asked").status == 200


def test_sixty_four_viewers_share_what_there_is(site: Site) -> None:
    port = site.server.server_port
    viewers = [connect(port) for _ in range(64)]
    heads: list[bytes] = []

    def begin(number: int) -> None:
        viewers[number].sendall(
            f"GET /api/live HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        heads.append(viewers[number].recv(15))

    try:
        run_in_threads(*[lambda number=number: begin(number) for number in range(64)])
        wait_until(lambda: len(site.server.streams) == 32)
        assert sorted(heads) == [b"HTTP/1.0 200 OK"] * 32 + [b"HTTP/1.0 503 Se"] * 32
        assert site.ask("/api/asked").status == 200
    finally:
        for viewer in viewers:
            viewer.close()
    wait_until(lambda: len(site.closed) == 32)


def test_page_that_loads_all_its_files_at_once_gets_them(site: Site) -> None:
    answers: list[int] = []
    files = ["/", "/app.css", "/js/main.js", "/js/api.js"]

    def load(path: str) -> None:
        answers.append(site.ask(path, None).status)

    run_in_threads(*[lambda path=path: load(path) for path in files * 12])

    assert answers == [200] * 48


def test_file_that_has_not_changed_is_not_sent_again(site: Site) -> None:
    first = site.ask("/app.css", None)
    again = site.ask("/app.css", None, If_None_Match=first.headers["ETag"])

    assert (again.status, again.body) == (304, b"")


# The table, and the address


def test_drawn_token_has_128_bits_and_is_another_each_time() -> None:
    tokens = {token_for(WebConfig()).reveal() for _ in range(100)}

    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {22}  # of 6 bits each


def test_address_has_the_token_where_no_request_takes_it() -> None:
    assert address(WebConfig(), 9478, Secret("a+b/c")) == "http://127.0.0.1:9478/#token=a%2Bb%2Fc"
    remote = WebConfig(host="::", allow_remote=True)
    assert address(remote, 1, Secret("t")) == "http://[::1]:1/#token=t"


def test_ports_behind_the_default_one_will_do_where_none_was_chosen() -> None:
    assert list(spare_ports(WebConfig()))[:2] == [DEFAULT_PORT + 1, DEFAULT_PORT + 2]
    assert list(spare_ports(WebConfig(port=1234))) == []


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"token": "short"}, "expected a string that matches '[A-Za-z0-9._~+/-]{16,}"),
        (
            {"token": "a token with some spaces"},
            "expected a string that matches '[A-Za-z0-9._~+/-]{16,}",
        ),
        (
            {"token": "ein-schlüssel-mit-umlaut"},
            "expected a string that matches '[A-Za-z0-9._~+/-]{16,}",
        ),
        ({"host": "0.0.0.0"}, "allow_remote = true lets other machines see the page"),
        ({"hosts": ["agents.example"]}, "set allow_remote = true too"),
        ({"allow_remote": True, "hosts": ["http://a"]}, "without scheme and port"),
        ({"tls_key": "k.pem"}, "tls_certificate and tls_key go together"),
        ({"port": 70_000}, "port"),
    ],
)
def test_table_that_cannot_be_used_is_told(table: dict[str, object], said: str) -> None:
    config, found = structure(table, WebConfig, Origin("test.toml"), ("plugins", "web"))

    assert config is None
    assert len(found) == 1
    assert said in str(found[0])
    assert str(table.get("token", "no token")) not in str(found[0])


def test_token_is_not_shown() -> None:
    assert TOKEN not in repr(WebConfig(token=Secret(TOKEN)))
