"""``hvobs mcp``: the server on stdin and stdout."""

import signal
import sys
from pathlib import Path

import click

from hypervisor_observability import output
from hypervisor_observability.hookspecs import CommandContext
from hypervisor_web.history_options import history_options

from .questions import Questions

_NEEDED = "hvobs mcp needs the package mcp, version 2: pip install 'hypervisor-web[mcp]'"


@click.command(
    name="mcp",
    short_help="Let coding agents ask what was recorded.",
    epilog=output.examples("hvobs mcp", "hvobs mcp --journal journal"),
)
@history_options
@click.pass_obj
def mcp(
    context: CommandContext, directory: Path | None, store: str | None, config_file: Path | None
) -> None:
    """Answer a coding agent's questions about what was recorded, by the Model Context Protocol on
    stdin and stdout: why a run failed, what agents did, which events there are. Read only.

    A coding agent starts this command itself: give it 'hvobs' with the arguments 'mcp' and
    '--journal DIR'. It ends when the agent closes stdin.
    """
    try:
        from .server import make_server
    except ImportError as error:
        raise click.ClickException(_NEEDED) from error
    questions = Questions(context, directory, config_file, store)
    if (problem := questions.problem()) is not None:
        output.note(problem)  # each answer says so, too, for as long as it lasts
    if sys.stdin.isatty():
        output.note("waiting for a coding agent on stdin, which starts this itself; Ctrl-C ends it")
    # A thread waits for a line of stdin, which nothing else interrupts. Nothing is lost: it reads.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        make_server(questions).run("stdio")
    finally:
        signal.signal(signal.SIGINT, before)
