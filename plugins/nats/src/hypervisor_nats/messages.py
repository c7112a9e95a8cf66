"""A message of the stream: records of one run, as they stand in its journal, and headers.

The records follow each other in the run's chain, checkpoints, gaps and notes with them. The last
one takes a sequence number of its own (an event, or a gap), but for the last message of a run. So
no two messages of a run begin with the same number, and ``RUN:FIRST`` names one for ever: it is
the message's ``Nats-Msg-Id``, by which a server refuses a repeat within its window, and by which
readers pass over one after that.
"""

from collections.abc import Iterator, Mapping

from attrs import frozen

from hypervisor_journal.format.frames import DIGEST_BYTES, BadBytesError, Record, record_at
from hypervisor_nats.names import FORMAT, token_of

ID_HEADER = "Nats-Msg-Id"
FORMAT_HEADER = "Hv-Format"
RUN_HEADER = "Hv-Run"
FIRST_HEADER = "Hv-First"
NEXT_HEADER = "Hv-Next"
COUNT_HEADER = "Hv-Count"
CHAIN_HEADER = "Hv-Chain"
THEN_HEADER = "Hv-Then"
FROM_HEADER = "Hv-From"
UNTIL_HEADER = "Hv-Until"
END_HEADER = "Hv-End"

_MOST = 2**63
_MAX_RUN = 256


class StrangeMessageError(ValueError):
    """A message that no shipper sent, or that is damaged; the text says how."""


@frozen(kw_only=True)
class Head:
    """What the headers of a message say; nothing of it is proven.

    Attributes:
        run: Name of the run.
        first: Sequence number that its first record carries.
        next: Sequence number behind its last one.
        count: How many events it holds.
        chain: Chain value before its first record.
        then: Chain value behind its last record that takes a number; *chain* where it has none.
            The message that follows begins with it: so whoever reads heads alone, as a query does
            for what it does not show, sees where messages do not belong together.
        from_ns: The least time of its events, in nanoseconds since the epoch; 0 without any.
        until_ns: The greatest one.
        ended: Whether the run ends with it.
    """

    run: str
    first: int
    next: int
    count: int
    chain: bytes
    then: bytes
    from_ns: int = 0
    until_ns: int = 0
    ended: bool = False

    def to_headers(self) -> dict[str, str]:
        """Write it."""
        headers = {
            ID_HEADER: f"{self.run}:{'end' if self.ended else self.first}",
            FORMAT_HEADER: FORMAT,
            RUN_HEADER: self.run,
            FIRST_HEADER: str(self.first),
            NEXT_HEADER: str(self.next),
            COUNT_HEADER: str(self.count),
            CHAIN_HEADER: self.chain.hex(),
            THEN_HEADER: self.then.hex(),
            FROM_HEADER: str(self.from_ns),
            UNTIL_HEADER: str(self.until_ns),
        }
        return {**headers, END_HEADER: "1"} if self.ended else headers

    @classmethod
    def from_headers(cls, headers: Mapping[str, str] | None) -> "Head":
        """Read it.

        Raises:
            StrangeMessageError: The message is not from a shipper, or has a newer format.
        """
        if not headers or FORMAT_HEADER not in headers:
            raise StrangeMessageError("it has no Hv-Format header")
        if headers[FORMAT_HEADER] != FORMAT:
            raise StrangeMessageError(
                f"format {headers[FORMAT_HEADER]:.20}; this release reads {FORMAT}"
            )
        try:
            head = cls(
                run=headers[RUN_HEADER],
                first=_number(headers[FIRST_HEADER]),
                next=_number(headers[NEXT_HEADER]),
                count=_number(headers[COUNT_HEADER]),
                chain=_chain_value(headers[CHAIN_HEADER]),
                then=_chain_value(headers[THEN_HEADER]),
                from_ns=_time(headers[FROM_HEADER]),
                until_ns=_time(headers[UNTIL_HEADER]),
                ended=headers.get(END_HEADER) == "1",
            )
        except (KeyError, ValueError) as error:
            raise StrangeMessageError(f"a header is missing or invalid: {error}") from error
        if not 0 < len(head.run) <= _MAX_RUN:
            raise StrangeMessageError("its run has no name, or one that is too long")
        if head.next < head.first or head.count > head.next - head.first:
            raise StrangeMessageError("its numbers contradict each other")
        return head


def head_of(subject: str, headers: Mapping[str, str] | None) -> Head:
    """Read the head of a message that came under *subject*.

    Raises:
        StrangeMessageError: The message is not from a shipper, has a newer format, or is under the
            subject of another run.
    """
    head = Head.from_headers(headers)
    if subject.rpartition(".")[2] != token_of(head.run):
        raise StrangeMessageError(f"its subject is not that of run {head.run}")
    return head


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) >= _MOST:
        raise ValueError(f"not a number: {text!r:.40}")
    return int(text)


def _time(text: str) -> int:
    """Read a time; one before the epoch has a sign."""
    return -_number(text[1:]) if text.startswith("-") else _number(text)


def _chain_value(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != DIGEST_BYTES:
        raise ValueError(f"not a chain value: {text!r:.40}")
    return value


def records_of(data: bytes) -> Iterator[Record]:
    """Give the records of a message; their checksums are right, their chain is not looked at.

    Raises:
        StrangeMessageError: The bytes are damaged, or not a record.
    """
    offset = 0
    while offset < len(data):
        try:
            record = record_at(data, offset)
        except BadBytesError as error:
            raise StrangeMessageError(f"byte {offset}: {error}") from error
        if record is None:
            raise StrangeMessageError(f"byte {offset}: zeros in place of a record")
        yield record
        offset += record.size
