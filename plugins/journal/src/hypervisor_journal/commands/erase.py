"""``hvobs journal erase``: take what a person's events say out of a journal."""

from pathlib import Path

import click

from hypervisor_journal.commands.asked_journal import AskedJournal, about_a_journal
from hypervisor_journal.locks import is_locked
from hypervisor_journal.proof.erasure import erase
from hypervisor_journal.proof.subject_traces import SubjectTraces
from hypervisor_journal.runs.directory import AGENT, AGENT_LOCK
from hypervisor_journal.runs.runs import runs_of
from hypervisor_observability import output
from hypervisor_observability.events.event import HypervisorEvent


@click.command(
    name="erase",
    short_help="Erase the payloads of an agent or a session.",
    epilog=output.examples(
        "hvobs journal erase --subject did:mesh:payer --dry-run",
        "hvobs journal erase --session checkout-42",
    ),
)
@about_a_journal
@click.option("--subject", metavar="DID", help="Of this agent.")
@click.option("--session", metavar="ID", help="Of this session.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Count only, and change nothing.")
def erase_command(
    asked: AskedJournal,
    subject: str | None,
    session: str | None,
    yes: bool,  # noqa: FBT001 - click's flag
    dry_run: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Erase the payloads of all events of an agent or a session, for good.

    That the events were, when, of which type and whose, stays, and the journal can still be
    proven: the proof needs a digest of what was erased alone. Saved states of plugins forget the
    subject too, and so do dead letters, where the configuration says where they are. What events
    of others still say about it is counted and named. Runs that are being written are left, and
    told; exit code 1 then.
    """
    if subject is None and session is None:
        raise click.UsageError("name what to erase, with --subject or --session")
    journal = asked.place()

    def chosen(event: HypervisorEvent) -> bool:
        return (subject is None or event.agent_did == subject) and (
            session is None or event.session_id == session
        )

    named = {name: value for name, value in (("agent", subject), ("session", session)) if value}
    whom = " and ".join(f"{name} {value}" for name, value in named.items())
    if not yes and not dry_run:
        count = _count(journal, SubjectTraces(frozenset(named.values()), chosen))
        question = f"erase the payloads of {count} events of {whom} in {journal}, for good"
        click.confirm(output.one_line(question), abort=True, err=True)
    letters = asked.dead_letters()
    traces = SubjectTraces(frozenset(named.values()), chosen)
    problems = _erase(journal, traces, letters, dry_run=dry_run)
    for problem in problems:
        output.note(f"left: {problem}, then erase again")
    if problems:
        raise click.exceptions.Exit(1)


def _count(journal: Path, traces: SubjectTraces) -> int:
    """Count what would be erased."""
    for run in runs_of(journal):
        if not run.is_alive():
            traces.learn(run)
    return traces.events


def _erase(
    journal: Path, traces: SubjectTraces, letters: Path | None, *, dry_run: bool
) -> list[str]:
    """Erase, tell what was done, and give what could not be."""
    runs = list(runs_of(journal))
    living = [run for run in runs if run.is_alive()]
    problems = [f"{run.path.name} is being written: stop its process" for run in living]
    if is_locked(journal / AGENT / AGENT_LOCK):
        problems.append("an agent is running, which holds what it has read: stop it")
    dead = [run for run in runs if run not in living]
    for run in dead:
        traces.learn(run)
    # What was derived goes first: whoever is interrupted finds all of it again.
    forgotten = traces.forget(journal, dry_run=dry_run)
    if letters is not None:
        forgotten += traces.forget_letters(letters, dry_run=dry_run)
    count = traces.events
    if not dry_run:
        count = sum(
            erase(run, traces.chosen, lambda damage: problems.append(f"cannot be read: {damage}"))
            for run in dead
        )
    for run in runs:
        traces.look(run)
    output.tell(f"{'would erase' if dry_run else 'erased'} {count} payloads")
    _tell_of_the_rest(traces, forgotten, dry_run=dry_run)
    return problems


def _tell_of_the_rest(traces: SubjectTraces, forgotten: int, *, dry_run: bool) -> None:
    if forgotten:
        verb = "would be taken" if dry_run else "was taken"
        output.note(f"what is about it {verb} out of {forgotten} saved states and dead letters")
    if traces.mentions:
        counts = ", ".join(f"{key} {number}" for key, number in sorted(traces.mentions.items()))
        output.note(f"events of others that still name it, or repeat what it said: {counts}")
        for run, sequence in traces.places:
            output.note(f"  {run}, sequence {sequence}")
