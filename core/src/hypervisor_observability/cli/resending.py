"""Send the dead letters of one plugin again, with an exact account."""

from attrs import define, evolve

from ..config import Config, StateConfig
from ..delivery.counts import Counts
from ..delivery.letter_box import LetterBox
from ..host.observability import Observability

_FLUSH_SECONDS = 30.0
_AWAY = "the backend did not take it in time"


@define(eq=False)
class Resent:
    """What became of the letters.

    Attributes:
        sent: The backend accepted them.
        refused: It refused them again. They are still there.
        kept: They were not sent, and are still there.
        why: Why not, the last one.
    """

    sent: int = 0
    refused: int = 0
    kept: int = 0
    why: str = ""

    def keep(self, why: str, count: int = 1) -> None:
        """Count *count* that were not sent."""
        self.kept += count
        self.why = why


def resend_letters(config: Config, plugin: str, box: LetterBox) -> Resent:
    """Send each by itself: one that is refused says nothing of the others.

    Args:
        config: Has the table of *plugin*. Its state directory is left alone.
        plugin: Whose they are.
        box: Where they are.

    Raises:
        ConfigError: The plugin cannot be turned on.
        OSError: A file cannot be read or written, or another process sends them.
    """
    alone = evolve(config, plugins={plugin: config.plugins[plugin]}, state=StateConfig())
    result = Resent()
    observability = Observability(alone)  # before anything is taken out
    with box.taken() as letters:
        waits_since: Counts | None = None
        with observability:
            for letter in letters:
                if letter.event is None:
                    result.keep(letter.reason)
                    continue
                before = observability.counts()[plugin]
                observability.bus.emit(letter.event)
                settled = observability.flush(_FLUSH_SECONDS)
                now = observability.counts()[plugin]
                if now.delivered > before.delivered:
                    letters.sent()
                    result.sent += 1
                elif now.rejected > before.rejected:
                    result.refused += 1
                elif settled and _unwanted(now) > _unwanted(before):
                    result.keep("its table does not ask for such events")
                else:
                    waits_since = before
                    break
        if waits_since is None:
            return result
        if observability.counts()[plugin].delivered > waits_since.delivered:
            letters.sent()  # by the last try, at the stop
            result.sent += 1
        else:
            result.keep(_AWAY)
        if rest := letters.keep_rest():
            result.keep(_AWAY, rest)
    return result


def _unwanted(counts: Counts) -> int:
    return counts.emitted - counts.wanted
