"""Whether a request is served at all."""

from email.message import Message
from http import HTTPStatus

from .hosts import host_of
from .pages import Refused
from .site import Site
from .targets import Target, read_target

MAX_TARGET_CHARACTERS = 8_192

_SECRET_NAMES = frozenset({"token", "access_token", "bearer_token", "password"})
_OWN_PAGES = frozenset({"same-origin", "none"})  # Fetch Metadata, 2.3; none: typed, or a bookmark


def admitted(site: Site, target: str, headers: Message) -> Target:
    """Give what is asked for, if this client may ask for it.

    Raises:
        Refused: It may not.
    """
    try:
        asked = read_target(target)
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
    _check_hosts(site, [*headers.get_all("Host", []), *asked.hosts], 1 + len(asked.hosts))
    if site.credentials.are_asked_for and not _SECRET_NAMES.isdisjoint(asked.query):
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            "an address with a token or a password stays in logs and histories: send it in the"
            " header Authorization",
        )
    if site.is_guarded(asked.path):
        _check_client(site, headers)
    return asked


def _check_hosts(site: Site, hosts: list[str], at_most: int) -> None:
    # Without one, it is no browser: they all send it.
    if len(hosts) > at_most:
        raise Refused(HTTPStatus.BAD_REQUEST, "more than one Host")
    for header in hosts:
        try:
            host = host_of(header)
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
        if not site.hosts.admit(host):
            raise Refused(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this server does not answer to the name '{host}': use 'localhost', or have its"
                " table list the name in hosts, with allow_remote = true",
            )


def _check_client(site: Site, headers: Message) -> None:
    if site.own_pages_only and (
        "Origin" in headers or headers.get("Sec-Fetch-Site", "none") not in _OWN_PAGES
    ):
        raise Refused(HTTPStatus.FORBIDDEN, "pages of other origins get nothing from here")
    if not site.credentials.admit(headers.get("Authorization")):
        raise Refused(HTTPStatus.UNAUTHORIZED, site.credentials.wanted)
