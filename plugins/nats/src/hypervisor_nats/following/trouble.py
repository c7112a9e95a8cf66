"""What keeps an agent from reading: told once, whichever of its tasks finds it, and its end too."""

import time

from attrs import define, field

from hypervisor_nats.link import Link
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.text.limited_log import LimitedLog, say


@define(eq=False)
class Trouble:
    """What is wrong between an agent and its servers.

    Attributes:
        link: The connection.
        text: What keeps the agent's rounds from being made, for people; None: nothing.
    """

    link: Link
    text: str | None = field(default=None, init=False)
    _told: set[str] = field(factory=set, init=False)
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    def begin(self, error: Exception, *, since: float) -> None:
        """Note what a round failed of, and tell it unless it was told since all went well.

        Args:
            error: What was raised.
            since: Of ``time.monotonic()``, when the round began.
        """
        self.text = self._reason(error, since)
        if self.text not in self._told and say(
            __name__, "warning", "%s cannot be read: %s; events wait there",
            self.link.place, self.text,
        ):  # fmt: skip
            self._told.add(self.text)

    def end(self) -> None:
        """Note that a round was made; tell it where something was told before."""
        self.text = None
        if self._told:
            self._told.clear()
            say(__name__, "warning", "%s is read again", self.link.place)

    def note(self, error: Exception, *, since: float) -> None:
        """Tell what else fails while rounds are made, once for all the tasks that find it.

        Args:
            error: What was raised.
            since: Of ``time.monotonic()``, when it failed first.
        """
        # A round finds what keeps all from being read as soon as its own request is over.
        patience = 2 * self.link.config.timeout_seconds
        if self.text is None and time.monotonic() - since > patience:
            text = self._reason(error, since)
            self._limited_log.warning(
                text, "not all of %s is read: %s", self.link.place, text
            )  # fmt: skip

    def _reason(self, error: Exception, since: float) -> str:
        if not isinstance(error, StreamUnavailableError):
            error = self.link.unavailable(error, since=since)
        return error.reason
