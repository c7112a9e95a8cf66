"""Messages of a run, sent one behind the other: each is acknowledged before the next is sent.

Each is sent with the number that the run's last message has in the stream. So the server refuses
one that does not belong there: after an answer that was lost, while another process sends the same
run, when the stream has lost or gained something. The run then goes on where the stream is.
"""

from attrs import evolve, frozen
from nats.js.api import Header
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from hypervisor_journal.reading.raw_run import Place
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.messages import ID_HEADER, Head, StrangeMessageError
from hypervisor_nats.shipping.packing import Packed
from hypervisor_nats.shipping.shipped_run import ShippedRun

# Numbers of JetStream's errors: server/errors.json of NATS.
_WRONG_LAST = {10071, 10164}
_NO_MESSAGE = 10037


@frozen
class Sender:
    """Sends over one connection.

    Attributes:
        jetstream: Of the connection.
        config: Names the stream.
    """

    jetstream: JetStreamContext
    config: NatsConfig

    async def send(self, run: ShippedRun, packed: Packed) -> int:
        """Send what was packed, and take the run behind it.

        Returns:
            How many events the stream has acknowledged.

        Raises:
            NatsError: It was not acknowledged.
        """
        head = packed.head
        if head is None or (head.ended and not packed.data and not run.reached.last):
            # Something was passed over; or a run that had nothing to send has ended.
            run.advance(packed, run.reached.last)
            return 0
        headers = head.to_headers()
        if run.disputed:
            headers[ID_HEADER] += f":{run.reached.last}"
        headers[Header.EXPECTED_LAST_SUBJECT_SEQUENCE] = str(run.reached.last)
        try:
            answer = await self.jetstream.publish(
                run.reached.subject,
                packed.data,
                stream=self.config.stream,
                headers=headers,
                timeout=self.config.timeout_seconds,
            )
        except APIError as error:
            if error.err_code not in _WRONG_LAST:
                raise
            await self._go_where_stream_is(run)
            return 0
        if answer.duplicate:
            # It may hold fewer records than this one: they had not been written then.
            run.disputed = not await self._go_where_stream_is(run)
            return 0
        run.advance(packed, answer.seq)
        return head.count

    async def _go_where_stream_is(self, run: ShippedRun) -> bool:
        """Go behind the last message of *run* that the stream has; tell whether that is progress.

        Raises:
            NatsError: It does not say.
        """
        before = run.reached
        try:
            found = await self.jetstream.get_last_msg(self.config.stream, before.subject)
        except NotFoundError as error:
            if error.err_code != _NO_MESSAGE:
                raise
            info = await self.jetstream.stream_info(self.config.stream)
            # Either the bounds of the stream took it, or the server has lost what it acknowledged.
            expired = before.last < info.state.first_seq
            run.reached = evolve(before, last=0, place=before.place if expired else Place())
            return run.reached != before
        run.reached = evolve(before, last=found.seq or 0)
        try:
            head = Head.from_headers(found.headers)
        except StrangeMessageError:
            return run.reached.last != before.last
        # What stands there may be another's: only what this journal has too is gone by.
        place = run.raw.find(Place(head.next, head.then))
        if place is not None:
            run.reached = evolve(run.reached, place=place)
            run.done = head.ended
        return run.reached != before
