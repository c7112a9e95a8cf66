"""Where a server can be had, and what is said where it cannot."""

import logging
import socket
from collections.abc import Callable, Iterator

import pytest

from hypervisor_observability.config import Secret
from hypervisor_observability.serving.binding import _advice, bind, warn_of_others
from hypervisor_observability.serving.credentials import Credentials
from hypervisor_observability.serving.settings import ServerSettings
from hypervisor_observability.serving.site import Site
from tests.core.serving.served_site import ServedSite
from tests.ports import free_port

LOGGER = logging.getLogger("tests.serving")
SITE = Site("test", {}, LOGGER)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_port_in_use_is_told_with_what_to_do(taken_port: int) -> None:
    said = f"127.0.0.1:{taken_port} is in use: set --port to another port, or to 0 for any free one"
    with pytest.raises(OSError, match=said):
        bind(ServerSettings(port=taken_port), SITE, "--")


def test_spare_port_is_taken_where_the_first_one_is_in_use(taken_port: int) -> None:
    spare = free_port()
    server = bind(ServerSettings(port=taken_port), SITE, "--", [taken_port, spare])
    server.server_close()

    assert server.server_port == spare


def test_spare_port_is_no_help_for_an_address_of_another_machine() -> None:
    # 192.0.2.0/24 is kept for documentation (RFC 5737).
    elsewhere = ServerSettings(host="192.0.2.1", allow_remote=True)

    with pytest.raises(OSError, match=r"is no address of this machine: set plugins\.test\.host"):
        bind(elsewhere, SITE, "plugins.test.", [0])


def test_other_failures_to_bind_are_told_too() -> None:
    assert "above 1023" in _advice(PermissionError(13, "Permission denied"), "plugins.p.")
    assert _advice(OSError(24, "Too many open files"), "p.") == "cannot be had: Too many open files"


@pytest.mark.parametrize(
    ("settings", "credentials", "said"),
    [
        (ServerSettings(), Credentials(), ""),
        (ServerSettings(host="0.0.0.0", allow_remote=True), Credentials(), "without a password"),
        (
            ServerSettings(host="0.0.0.0", allow_remote=True),
            Credentials(bearer_token=Secret("t")),
            "unencrypted",
        ),
    ],
)
def test_server_that_others_reach_warns_of_what_it_lacks(
    serve: Callable[..., ServedSite],
    caplog: pytest.LogCaptureFixture,
    settings: ServerSettings,
    credentials: Credentials,
    said: str,
) -> None:
    warn_of_others(settings, serve(bound=settings, credentials=credentials).server)

    assert bool(caplog.records) == bool(said)
    assert caplog.text.rstrip().endswith(said)


@pytest.mark.parametrize(("host", "url"), [("::1", "http://[::1]:1"), ("::", "http://[::1]:1")])
def test_address_is_one_that_this_machine_reaches(host: str, url: str) -> None:
    assert ServerSettings(host=host, allow_remote=True).url(1) == url
