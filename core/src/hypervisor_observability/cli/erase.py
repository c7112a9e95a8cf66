"""``hvobs erase``: take what a person's events say out of a journal."""

from pathlib import Path

import click

from ..events import HypervisorEvent
from ..journal.erasure import erase
from ..journal.runs import runs_of
from . import output
from .journal_option import journal_of, journal_option


@journal_option
@click.command(name="erase", short_help="Erase the payloads of an agent or a session.")
@click.option("--subject", metavar="DID", help="Of this agent.")
@click.option("--session", metavar="ID", help="Of this session.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase_command(
    config_file: Path | None,
    directory: Path | None,
    subject: str | None,
    session: str | None,
    yes: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Erase the payloads of all events of an agent or a session, for good.

    That the events were, when, and of which type, stays, and the journal can still be proven:
    the proof needs a digest of what was erased alone. Runs that are being written are left, and
    told; exit code 1 then.
    """
    if subject is None and session is None:
        raise click.UsageError("name what to erase, with --subject or --session")
    journal = journal_of(config_file, directory)

    def chosen(event: HypervisorEvent) -> bool:
        return (subject is None or event.agent_did == subject) and (
            session is None or event.session_id == session
        )

    whom = " and ".join(
        f"{name} {value}" for name, value in (("agent", subject), ("session", session)) if value
    )
    if not yes:
        question = output.one_line(f"erase what all events of {whom} in {journal} say")
        click.confirm(question, abort=True, err=True)
    count, left = 0, []
    for run in runs_of(journal):
        if run.is_alive():
            left.append(run.path.name)
        else:
            count += erase(run, chosen)
    output.tell(f"erased {count} payloads")
    for name in left:
        output.note(f"left: {name} is being written: stop its process, then erase again")
    if left:
        raise click.exceptions.Exit(1)
