"""What tests of shipping look at: a journal's directory, a process that sends it, the stream."""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from hypervisor_journal.format.encoding import event_of
from hypervisor_journal.format.frames import EVENT, Record
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.messages import Head, records_of
from hypervisor_nats.shipping.shipping import Shipping
from tests.configurations import NAME, write_config
from tests.plugins.nats.servers import ask_server, table_of
from tests.waiting import wait_until

PATIENCE_SECONDS = 60.0


@frozen
class Stored:
    """A message of the stream.

    Attributes:
        sequence: Its number in the stream.
        subject: Its subject.
        head: Its headers.
        data: Its records.
    """

    sequence: int
    subject: str
    head: Head
    data: bytes

    @property
    def records(self) -> Sequence[Record]:
        return list(records_of(self.data))


def await_problem(sending: Shipping, text: str) -> None:
    """Wait until the sender says what keeps it from sending; it may have said another thing before.

    :raises AssertionError: It does not say *text*; what it says instead is told.
    """
    with contextlib.suppress(AssertionError):
        wait_until(lambda: text in (sending.standing.problem or ""), PATIENCE_SECONDS)
    assert text in (sending.standing.problem or "")


def stored(config: NatsConfig, first: int = 1) -> list[Stored]:
    """Give all messages of the stream from number *first* on, in its order."""

    async def read(jetstream: JetStreamContext) -> list[Stored]:
        state = (await jetstream.stream_info(config.stream)).state
        found = []
        for sequence in range(max(first, state.first_seq), state.last_seq + 1):
            try:
                message = await jetstream.get_msg(config.stream, sequence)
            except NotFoundError:  # removed
                continue
            assert message.subject is not None
            head = Head.from_headers(message.headers)
            found.append(Stored(sequence, message.subject, head, message.data or b""))
        return found

    return ask_server(config, read)


def numbers_in(messages: Sequence[Stored]) -> list[int]:
    """Give the numbers in the payloads of all events, in their order."""
    return [
        int(event_of(record).payload["number"])
        for message in messages
        for record in message.records
        if record.kind == EVENT
    ]


@contextmanager
def shipping(directory: Path, config: NatsConfig) -> Iterator[Shipping]:
    """Send a journal in a thread, and end it at once in the end."""
    sending = Shipping(directory, config, "checkout")
    sending.start()
    try:
        yield sending
    finally:
        sending.stop(0.0)


def ship(directory: Path, config: NatsConfig, service: str = "checkout") -> Shipping:
    """Send what a journal holds, and end."""
    sending = Shipping(directory, config, service)
    sending.start()
    try:
        assert sending.caught_up.wait(PATIENCE_SECONDS), sending.standing.status()
    finally:
        sending.stop(PATIENCE_SECONDS)
    return sending


def write_shipping(
    config: NatsConfig, journal: Path, folder: Path | None = None, **others: object
) -> Path:
    """Write the configuration of a process that sends its journal; give its path.

    :param folder: Where it is written: by default beside the journal.
    :param others: Further keys of the plugin's table.
    """
    return write_config(
        f'{table_of(config, **others)}[plugins.nats.journal]\ndirectory = "{journal}"\n',
        (folder or journal.parent) / NAME,
    )
