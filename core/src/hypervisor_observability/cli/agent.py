"""``hvobs agent``: run the plugins over a journal that other processes write."""

import signal
import threading
import time
from pathlib import Path

import click

from ..config import load_config
from ..delivery.accounts import Counts
from ..errors import ConfigError, ConfigProblem
from ..journal_agent import AgentRunningError, JournalAgent
from . import output
from .config_option import config_option, need_file

_TELL_SECONDS = 1.0


@config_option
@click.command(short_help="Run the plugins over a journal that other processes write.")
@click.option(
    "--journal",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The journal's directory; else [journal] directory of the configuration.",
)
@click.option("--once", is_flag=True, help="Deliver what is journalled now, then end.")
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
    once: bool,  # noqa: FBT001 - click's flag
    timeout: float,
) -> None:
    """Run the plugins of the configuration over a journal's directory.

    Applications then need no plugin of their own: they journal, and this process delivers what
    all of them write, follows new ones, and goes on where it was when it is started again.
    Ctrl-C and SIGTERM end it, after it has saved how far it came.
    """
    path = need_file(config_file)
    config = load_config(path)
    if directory is None:
        if config.journal is None:
            message = "missing: name the journal here, or with --journal"
            raise ConfigError([ConfigProblem(str(path), None, "journal.directory", message)])
        directory = config.journal.directory
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    journal_agent = JournalAgent(config, directory)
    try:
        journal_agent.start()
    except AgentRunningError as error:
        raise click.ClickException(str(error)) from error
    output.note(
        f"reading {directory}, delivering to {', '.join(journal_agent.states()) or 'nobody'}"
    )
    complete = journal_agent.flush(timeout) if once else _run(journal_agent, stopping)
    in_time = journal_agent.stop()
    for name, counts in journal_agent.counts().items():
        output.tell(_line(name, counts))
    if not (complete and in_time):
        raise click.exceptions.Exit(1)


def _run(journal_agent: JournalAgent, stopping: threading.Event) -> bool:
    """Run until asked to end; tell of plugins that go down."""
    told: dict[str, str] = {}
    while not stopping.wait(_TELL_SECONDS):
        for name, state in journal_agent.states().items():
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
