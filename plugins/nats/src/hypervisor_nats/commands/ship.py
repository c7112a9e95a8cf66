"""``hvobs ship``: send a journal to the stream."""

import time
from collections.abc import Callable
from pathlib import Path

import click
from attrs import define, field

from hypervisor_journal.locks import HAS_LOCKS, NO_LOCKS
from hypervisor_journal.runs.directory import refuse_foreign, require_journal
from hypervisor_nats.commands.options import asked_service, config_options
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.shipping.shipping import Shipping
from hypervisor_nats.shipping.standing import Standing
from hypervisor_observability import output
from hypervisor_observability.errors import NoHistoryError
from hypervisor_observability.threads.stop_signals import StopSignals

_LOOK_SECONDS = 0.1
_TELL_SECONDS = 1.0
_STOP_SECONDS = 10.0


@click.command(
    name="ship",
    short_help="Send a journal to the stream of a fleet.",
    epilog=output.examples(
        "hvobs ship", "hvobs ship --journal /var/lib/app/journal --server nats://nats-1:4222 --once"
    ),
)
@config_options
@click.option(
    "--journal",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The journal's directory; else directory of [plugins.nats.journal].",
)
@click.option("--once", is_flag=True, help="Send what the journal holds now, then end.")
def ship_command(config: NatsConfig, directory: Path | None, once: bool) -> None:  # noqa: FBT001 - click's flag
    """Send a journal to the stream of a fleet, and keep sending what its processes write.

    The processes then need no stream of their own: they write the journal, and this command sends
    it. It continues where the last sender stopped. A journal has one sender at a time: a second one
    waits until the first ends.

    Ctrl-C and SIGTERM end it once the stream has acknowledged the messages in flight. With --once,
    the exit code is 1 if something could not be sent.
    """
    directory = directory or (None if config.journal is None else config.journal.directory)
    if directory is None:
        raise click.UsageError(
            "no journal: name its directory with --journal, or in [plugins.nats.journal]"
        )
    with StopSignals() as signals:
        stopping = signals.stopping.wait
        _require(directory, once=once, stopping=stopping)
        shipping = Shipping(directory.absolute(), config, asked_service())
        shipping.standing.logs_blocked = not once  # the command's error says it
        progress = _Progress(shipping.standing, tells_end=not once)
        signals.running = True
        shipping.start()
        output.note(f"sending {directory} to {shipping.place}")
        problem = None
        while problem is None and not stopping(_LOOK_SECONDS):
            progress.tell(caught_up=shipping.caught_up.is_set())
            if once:
                problem = _problem_of(shipping.standing)
                if shipping.caught_up.is_set():
                    break
        sent_all = shipping.stop(_STOP_SECONDS if once and problem is None else 0.0)
    _end(shipping.standing, problem, once=once, sent_all=sent_all)


def _require(directory: Path, *, once: bool, stopping: Callable[[float], bool]) -> None:
    """Refuse a directory that is not a journal; wait for one that does not exist yet.

    Raises:
        UsageError: It is not a journal.
    """
    if not HAS_LOCKS:
        raise click.UsageError(NO_LOCKS)
    try:
        if once:
            require_journal(directory)
        refuse_foreign(directory)
    except NoHistoryError as error:
        raise click.UsageError(str(error)) from error
    if not directory.is_dir():
        output.note(f"waiting for {directory}: the first program that records there creates it")
    while not directory.is_dir() and not stopping(_LOOK_SECONDS):
        pass


def _problem_of(standing: Standing) -> str | None:
    if standing.sender is not None:
        return f"{standing.sender} already sends this journal: let it finish, or stop it first"
    return standing.blocked


def _end(standing: Standing, problem: str | None, *, once: bool, sent_all: bool) -> None:
    """Say what was sent.

    Raises:
        ClickException: With *once*, something was not.
    """
    output.tell(f"{standing.shipped:,} events sent")
    if not once:
        return
    if problem is not None:
        raise click.ClickException(problem)
    if not sent_all:
        left = f"{standing.waiting:,} events are still to be sent"
        raise click.ClickException(standing.problem or left)
    lost = standing.gone + standing.too_large
    if lost:
        raise click.ClickException(f"{lost:,} events could not be sent: see above")


@define(eq=False)
class _Progress:
    """Reports progress now and then while there is a backlog, and once when there is none."""

    _standing: Standing
    _tells_end: bool
    """Whether to report the end of the backlog: not where the command's last line does."""
    _told_at: float = field(factory=time.monotonic, init=False)
    _shipped: int = field(default=0, init=False)
    _behind: bool = field(default=True, init=False)

    def tell(self, *, caught_up: bool) -> None:
        standing, now = self._standing, time.monotonic()
        if not standing.connected:
            self._behind = True
            return
        waiting, shipped = standing.waiting, standing.shipped
        if caught_up and not waiting:
            if self._behind and self._tells_end:
                output.note(f"caught up: {shipped:,} events sent")
            self._behind = False
            return
        seconds = now - self._told_at
        if seconds >= _TELL_SECONDS and waiting:
            rate = (shipped - self._shipped) / seconds
            output.note(f"{shipped:,} events sent, {waiting:,} wait ({rate:,.0f} events/s)")
            self._told_at, self._shipped, self._behind = now, shipped, True
