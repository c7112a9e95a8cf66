"""The names under which agents joined before what is shown, learnt when a filter asks for them."""

import threading
from collections.abc import Callable

from attrs import define, field

from hypervisor_observability import output
from hypervisor_observability.search.agent_names import AgentNames
from hypervisor_web.feed.endpoints import OpenHistory

_WAIT_SECONDS = 2.0


@define(eq=False)
class OlderNames:
    """Learns names from a history, once, in a thread: a long history holds up nobody for long.

    Attributes:
        names: Takes them.
        open_history: Opens the history, for the thread that calls it.
        notice: Told where names are missing.
    """

    names: AgentNames
    open_history: OpenHistory
    notice: Callable[[str], object]
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _are_known: bool = field(default=False, init=False)

    def learn(self) -> bool:
        """Wait a moment for them; tell whether all are known."""
        with self._lock:
            thread = self._thread
            if thread is None or not (thread.is_alive() or self._are_known):
                thread = threading.Thread(target=self._read, name="hvobs-web-names", daemon=True)
                self._thread = thread
                thread.start()
        thread.join(_WAIT_SECONDS)
        if thread.is_alive():
            self.notice(
                "the names of agents are still being read: until then, a filter by name or words"
                " may miss events of agents that joined long ago. Apply it again later"
            )
        return self._are_known

    def _read(self) -> None:
        try:
            with self.open_history() as history:
                self.names.learn_older(history)
            self._are_known = True
        except Exception as error:  # noqa: BLE001 - a filter works without, as far as names are known
            self.notice(f"the names of agents cannot be read: {output.reason(error)}")
