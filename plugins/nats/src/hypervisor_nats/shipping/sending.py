"""Sends the messages of a run in order: each is acknowledged before the next is sent.

Each carries the number of the run's last message in the stream. So the server refuses one that does
not belong there: after a lost answer, while another process sends the same run, or when the stream
has lost or gained messages. The run then continues where the stream is.
"""

import threading

from attrs import evolve, frozen
from nats.js.api import Header, PubAck, RawStreamMsg
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from hypervisor_journal.reading.raw_run import Place
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.messages import ID_HEADER, Head, StrangeMessageError
from hypervisor_nats.names import subjects_of_run
from hypervisor_nats.shipping.fleet_stream import FleetStream
from hypervisor_nats.shipping.packing import Packed
from hypervisor_nats.shipping.patience import patiently
from hypervisor_nats.shipping.positions import Reached
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
        stream: The stream, as seen last.
        doubts: Set when the stream is not in the expected state: it may be another one.
    """

    jetstream: JetStreamContext
    config: NatsConfig
    stream: FleetStream
    doubts: threading.Event

    async def send(self, run: ShippedRun, packed: Packed) -> int | None:
        """Send what was packed, and move the run behind it.

        Returns:
            How many events the stream has acknowledged, or already had where an answer was lost;
            None: none, and the run continues elsewhere.

        Raises:
            NatsError: The message was not acknowledged.
        """
        head = packed.head
        if not run.known:  # another process may have sent some of it, with no trace here
            moved = await self._go_where_stream_is(run)
            run.known = True
            if moved:
                return None
        if head is None or (head.ended and not packed.data and not run.reached.last):
            # Records were skipped; or a run that had nothing to send has ended.
            run.advance(packed, run.reached.last)
            return 0
        headers, begin = head.to_headers(), run.reached.place.sequence
        if run.disputed:
            headers[ID_HEADER] += f":{run.reached.last}"
        headers[Header.EXPECTED_LAST_SUBJECT_SEQUENCE] = str(run.reached.last)
        try:
            answer = await self._publish(run.reached.subject, packed.data, headers)
        except APIError as error:
            if error.err_code not in _WRONG_LAST:
                raise
            self.doubts.set()
            await self._go_where_stream_is(run)
            return max(0, run.reached.place.sequence - begin) or None
        if answer.duplicate:
            # The stored message may hold fewer records: the others were written later.
            run.disputed = not await self._go_where_stream_is(run)
            return max(0, run.reached.place.sequence - begin) or None
        run.advance(packed, answer.seq)
        return head.count

    async def _publish(self, subject: str, data: bytes, headers: dict[str, str]) -> PubAck:
        """Publish, and wait for the acknowledgement.

        Raises:
            NatsError: There is none.
        """
        seconds, stream = self.config.timeout_seconds, self.config.stream

        async def publish() -> PubAck:
            return await self.jetstream.publish(
                subject, data, stream=stream, headers=headers, timeout=seconds
            )

        async def is_there() -> object:
            return await patiently(lambda: self.jetstream.stream_info(stream), seconds)

        return await patiently(publish, seconds, is_there)

    async def _with_last(self, reached: Reached, found: RawStreamMsg) -> Reached:
        """Return *reached* with the subject and number of the run's last message. If that is in a
        partition that no longer exists, *reached* keeps its own subject, and gets the last message
        of that.
        """
        subject, last = found.subject or "", found.seq or 0
        if self.stream.subject_for(self.config, "", "", subject) == subject:
            return evolve(reached, subject=subject, last=last)
        try:
            own = await self.jetstream.get_last_msg(self.config.stream, reached.subject)
        except NotFoundError:
            return evolve(reached, last=0)
        return evolve(reached, last=own.seq or 0)

    async def _go_where_stream_is(self, run: ShippedRun) -> bool:
        """Move *run* behind its last message in the stream; return whether that moved it.

        Raises:
            NatsError: The stream cannot be asked.
            UnreadableRunError: The run cannot be read.
        """
        before, subjects = run.reached, subjects_of_run(self.config.subject, run.name)
        try:
            found = await self.jetstream.get_last_msg(self.config.stream, subjects)
        except NotFoundError as error:
            if error.err_code != _NO_MESSAGE:
                raise
            info = await self.jetstream.stream_info(self.config.stream)
            # Either the limits of the stream removed it, or the server lost what it acknowledged.
            expired = before.last < info.state.first_seq
            run.reached = evolve(before, last=0, place=before.place if expired else Place())
            return run.reached != before
        run.reached = await self._with_last(before, found)
        try:
            head = Head.from_headers(found.headers)
        except StrangeMessageError:
            return run.reached != before
        # The message may be another sender's: trust it only if this journal has the same place.
        place = run.find(Place(head.next, head.then))
        if place is not None:
            run.reached = evolve(run.reached, place=place)
            run.done = head.ended
        return run.reached != before
