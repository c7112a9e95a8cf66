"""From the system's errors to the two that a stream knows: gone, or not to be read at present."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypervisor_journal.reading.segment_reader import Damage
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.text.limited_log import LimitedLog


@contextmanager
def or_wait(what: object) -> Iterator[None]:
    """Have every ``OSError`` mean "wait", but that something is not there.

    Args:
        what: What is read, where the error does not say.

    Raises:
        FileNotFoundError: It is not there.
        StreamUnavailableError: It cannot be read at present.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StreamUnavailableError(error.filename or what, error) from error


def damage_teller(name: str | None) -> Callable[[Damage], None]:
    """Give what tells of damage that is come across: each place once a while.

    Args:
        name: Of the plugin that reads; None: the process looks what earlier runs have left.
    """
    limited_log = LimitedLog(__name__, interval_seconds=600.0)
    who = "a look at earlier runs" if name is None else f"plugin {name}"

    def tell(damage: Damage) -> None:
        limited_log.warning(
            f"{damage.path} {damage.offset}", "%s passes over damage in the journal: %s",
            who, damage,
        )  # fmt: skip

    return tell
