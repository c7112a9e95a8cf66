"""``hvobs agent``: run the plugins over a store that other processes write."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import click

from .. import output
from ..config import Config, load_config
from ..delivery.counts import Counts
from ..errors import ConfigError, NoHistoryError, StoreInUseError, StreamUnavailableError
from ..host.agent import Agent
from ..threads.stop_signals import SignalEvent, StopSignals
from .chosen_store import with_journal, with_store
from .config_option import need_file
from .history_option import Past, followed_options

_TELL_SECONDS = 1.0
_LOOK_SECONDS = 0.1


@followed_options
@click.command(
    short_help="Run the plugins over a store that other processes write.",
    epilog=output.examples("hvobs agent", "hvobs agent --once", "hvobs agent --from nats"),
)
@click.option("--once", is_flag=True, help="Deliver what is recorded now, then end.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Longest time for --once, in seconds.",
)
def agent(
    config_file: Path | None,
    directory: Path | None,
    store: str | None,
    once: bool,  # noqa: FBT001 - click's flag
    timeout: float,
) -> None:
    """Run the plugins of the configuration over its store, such as a journal.

    Applications then need none of them: they record, and this process delivers what
    all of them write, follows new ones, and continues where it was after a restart.
    A journal has one agent; a store such as nats may have many, which share the work.
    Ctrl-C and SIGTERM end it, after it has saved how far it came; a second one ends it at once.
    """
    past = Past(config_file, directory, store)
    config = load_config(need_file(config_file))
    if directory is not None:
        config = with_journal(config, directory)
    if store is not None:
        config = with_store(config, store)
    with StopSignals() as signals:
        complete, in_time, counts = _deliver(config, timeout if once else None, signals)
    for name, one in counts.items():
        output.tell(_line(name, one))
    nothing = _nothing_recorded(past) if once else None
    if nothing is not None:
        output.note(f"{nothing}: nothing was delivered")
    if nothing is not None or not (complete and in_time):
        raise click.exceptions.Exit(1)


def _nothing_recorded(past: Past) -> str | None:
    """Say that nothing was ever recorded; None where something was, or the store cannot tell."""
    try:
        with past.history(lambda _: None):
            return None
    except click.UsageError as error:
        return error.format_message()
    except ConfigError:
        return None


def _deliver(
    config: Config, once_seconds: float | None, signals: StopSignals
) -> tuple[bool, bool, Mapping[str, Counts]]:
    """Run until all is delivered, or until asked to end; tell whether all is well."""
    agent = Agent(config)
    try:
        agent.start()
    except NoHistoryError as error:
        raise click.UsageError(str(error)) from error
    except (StoreInUseError, StreamUnavailableError) as error:
        raise click.ClickException(str(error)) from error
    signals.running = True
    output.note(
        f"reading {agent.followed.place}, delivering to {', '.join(agent.states()) or 'nobody'}"
    )
    if once_seconds is None:
        complete = _run(agent, signals.stopping)
    else:
        complete = _flush(agent, once_seconds, signals.stopping)
    in_time = agent.stop()
    sound = complete and not agent.damaged  # what was damaged is in the log
    return sound, in_time, agent.counts()


def _flush(agent: Agent, timeout: float, stopping: SignalEvent) -> bool:
    """Deliver what is journalled now, unless asked to end before."""
    answers: list[bool] = []
    flushing = threading.Thread(target=lambda: answers.append(agent.flush(timeout)), daemon=True)
    flushing.start()
    while flushing.is_alive() and not stopping.is_set():
        flushing.join(_LOOK_SECONDS)
    return answers == [True]


def _run(agent: Agent, stopping: SignalEvent) -> bool:
    """Run until asked to end; tell of plugins that go down."""
    told: dict[str, str] = {}
    while not stopping.wait(_TELL_SECONDS):
        for name, state in agent.states().items():
            if state.startswith("down") and told.get(name) != state:
                told[name] = state
                output.note(f"{time.strftime('%H:%M:%S')} {name}: {state}")
    return not told


def _line(name: str, counts: Counts) -> str:
    dropped = ", ".join(f"{reason} {count}" for reason, count in counts.dropped.items())
    return output.one_line(
        f"{name}: delivered {counts.delivered} of {counts.emitted}, rejected {counts.rejected}"
        + (f", {dropped}" if dropped else "")
    )
