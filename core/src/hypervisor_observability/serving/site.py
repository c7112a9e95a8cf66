"""All that a server shows, and to whom."""

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus

from attrs import Factory, field, frozen

from ..text.limited_log import LimitedLog
from .credentials import Credentials
from .hosts import Hosts
from .pages import Page, Request, text_page

SAFE_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every answer says to browsers: guess nothing, tell nobody, keep nothing, lend to no page."""

CLOSED_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The ``Content-Security-Policy`` of a site that needs nothing but its own markup."""

MakePage = Callable[[Request], Page]
MakeStream = Callable[[Request], Iterator[bytes]]


def text_error(status: HTTPStatus, text: str) -> Page:
    """Tell of an error in plain text."""
    return text_page(f"{status.value} {status.phrase}: {text}\n")


@frozen
class Site:
    """All that a server shows.

    Attributes:
        name: Of the plugin; stands in the names of threads and in the header ``Server``.
        pages: The pages by their path.
        logger: Told of pages that cannot be made.
        streams: Streams by their path. A stream gives bytes as they come; it registers at
            ``Request.ending`` what wakes it, and ends soon once that is set.
        stream_type: Their ``Content-Type``.
        hosts: Names that are answered to.
        credentials: What a client must show for paths that begin with *guarded*.
        guarded: The beginning of these paths.
        open_pages: Paths among them that everybody may read.
        own_pages_only: Whether these paths are refused to pages of other origins.
        realm: What the credentials are for, in a word.
        headers: Sent with every answer.
        not_found: What is said of a path that leads nowhere.
        error_page: Makes the body of an error; its status is not asked.
        compressed: Whether pages are compressed for clients that take it.
        max_connections: How many requests are served at once, beside the streams.
        max_streams: How many streams there may be at once.
        stream_seconds: Longest life of a stream.
    """

    name: str
    pages: Mapping[str, MakePage] = field(repr=False)
    logger: logging.Logger
    streams: Mapping[str, MakeStream] = field(factory=dict, repr=False)
    stream_type: str = "application/x-ndjson"
    hosts: Hosts = field(factory=Hosts)
    credentials: Credentials = field(factory=Credentials)
    guarded: str = "/"
    open_pages: frozenset[str] = frozenset()
    own_pages_only: bool = False
    realm: str = "pages"
    headers: Mapping[str, str] = SAFE_HEADERS
    not_found: str = "there is no such page"
    error_page: Callable[[HTTPStatus, str], Page] = text_error
    compressed: bool = True
    max_connections: int = 16
    max_streams: int = 32
    stream_seconds: float = 3_600.0
    _log: LimitedLog = field(
        init=False, default=Factory(lambda site: LimitedLog(site.logger.name), takes_self=True)
    )

    def is_guarded(self, path: str) -> bool:
        """Tell whether a client must show something for *path*."""
        return path.startswith(self.guarded) and path not in self.open_pages

    def tell_of_failure(self, what: str, error: BaseException) -> None:
        """Log that *what* failed, at a limited rate, with nothing that commands a terminal.

        The exception's text may hold what the client sent.
        """
        lines = "".join(traceback.format_exception(error))
        self._log.warning(type(error).__name__, "%s failed: %s\n%s", what, error, lines)
