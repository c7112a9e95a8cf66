"""What a page is given, and what it gives."""

from collections.abc import Mapping
from http import HTTPStatus

from attrs import field, frozen

from .ending import Ending

_TEXT = "text/plain; charset=utf-8"


@frozen
class Page:
    """What is answered.

    Attributes:
        content_type: The header of that name; empty: none.
        body: The bytes, not compressed.
        status: How the request went.
        tag: Names this state of what may be kept, so that a client need not get it again;
            empty: it may not be kept.
    """

    content_type: str
    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    tag: str = ""


@frozen
class Request:
    """What a page, or a stream, may depend on.

    Attributes:
        accept: The header ``Accept``, several of them joined; empty where there is none.
        query: What follows "?" in the address, decoded: the first value of each name.
        ending: Set when nobody waits for the page, or takes the stream, any longer.
    """

    accept: str = ""
    query: Mapping[str, str] = field(factory=dict)
    ending: Ending = field(factory=Ending)


class Refused(Exception):  # noqa: N818 - it is an answer, and says of the request what HTTP says
    """A page, or a stream before its first bytes, answers with an error.

    Attributes:
        status: Of 400 or more.
        text: What is wrong and what would be right, for people.
    """

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


def text_page(text: str) -> Page:
    """Give a page of plain text; what UTF-8 cannot hold is replaced."""
    return Page(_TEXT, text.encode("utf-8", "replace"))
