"""``hvobs nats verify``: is what arrived in the stream what was written?"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from attrs import define, field

from hypervisor_journal.commands.verdicts import (
    anchors_by_run,
    end_with,
    proof_options,
    tell,
    tell_most,
)
from hypervisor_journal.proof.anchors import Anchor
from hypervisor_nats.asking.catalogue import Catalogue
from hypervisor_nats.asking.stream_messages import StreamMessages
from hypervisor_nats.commands.options import config_options
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.link import Link
from hypervisor_nats.messages import StrangeMessageError, head_of
from hypervisor_nats.names import subjects_of_run
from hypervisor_nats.reasons import no_stream
from hypervisor_nats.requests import Stored
from hypervisor_nats.runs.run_proof import RunProof, run_id
from hypervisor_observability import output


@define(eq=False)
class StreamProof:
    """The proofs of runs, from the messages of the stream.

    Attributes:
        messages: Of the stream.
        anchors: By the ids of their runs.
        runs: The proofs, by the names of the runs.
        strange: What is odd about each message that is not ours.
    """

    messages: StreamMessages
    anchors: Mapping[str, Sequence[Anchor]]
    runs: dict[str, RunProof] = field(factory=dict, init=False)
    strange: list[str] = field(factory=list, init=False)

    def read(self, run: str | None) -> None:
        """Read all messages that there are now, or those of *run*.

        Raises:
            StreamAwayError: The stream cannot be read.
            UsageError: There is none.
        """
        state = self.messages.state()
        if state is None:
            link = self.messages.link
            raise click.UsageError(f"{link.place}: {no_stream(link.config)}")
        subjects = None if run is None else subjects_of_run(self.messages.link.config.subject, run)
        at = state.first - 1
        with click.progressbar(
            length=state.last - at, label="verifying", file=sys.stderr,
            hidden=not sys.stderr.isatty(),
        ) as progress:  # fmt: skip
            while at < state.last and (found := self.messages.behind(at, subjects)):
                for message in found:
                    if message.sequence <= state.last:
                        self._take(message)
                progress.update(found[-1].sequence - at)
                at = found[-1].sequence

    def _take(self, message: Stored) -> None:
        try:
            head = head_of(message.subject, message.headers)
        except StrangeMessageError as error:
            self.strange.append(f"message {message.sequence} is not of a run: {error}")
            return
        proof = self.runs.get(head.run)
        if proof is None:
            anchors = self.anchors.get(run_id(head.run), ())
            proof = self.runs[head.run] = RunProof(head.run, anchors)
        proof.take(head, message.data)


@click.command(
    name="verify",
    short_help="Prove that what arrived is what was written.",
    epilog=output.examples(
        "hvobs nats verify",
        "hvobs nats verify --json",
        "hvobs nats verify 20261128T101112",
    ),
)
@config_options
@click.argument("run_name", metavar="[RUN]", required=False)
@proof_options
def verify_command(
    config: NatsConfig,
    run_name: str | None,
    anchor_file: Path | None,
    key: str | None,
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Prove that what arrived of each run is what was written: complete, in order, unchanged.

    With RUN, a part of a run's name, only that run.

    Exit code 0: proven by anchors up to its end. 3: nothing is wrong, but no anchor says that the
    end was not cut off, or all of it rewritten; or numbers are missing, which never came or are
    gone; or there is no run. 1: a record is wrong, and the first one is named; or the anchors
    cannot be read.
    """
    damages: list[str] = []
    if anchor_file is None and config.journal is not None:
        anchor_file = config.journal.anchor_file
    anchors = anchors_by_run(anchor_file, key, damages)
    link = Link(config, "verify")
    try:
        proof = StreamProof(StreamMessages(link), anchors)
        proof.read(None if run_name is None else _run_called(proof.messages, run_name))
    finally:
        link.close()
    found = [(name, one.verification()) for name, one in sorted(proof.runs.items())]
    tell(found, as_json=as_json)
    there = {run_id(name) for name in proof.runs}
    gone = set() if run_name is not None else anchors.keys() - there
    tell_most(
        (f"run {one} is not in the stream, and has an anchor" for one in sorted(gone)), "runs"
    )
    tell_most(proof.strange, "such messages")
    end_with(found, damages, gone=bool(gone), place=link.place)


def _run_called(messages: StreamMessages, name: str) -> str:
    """Return the run whose name contains *name*.

    Raises:
        UsageError: There is none, or more than one.
    """
    catalogue = Catalogue(messages, lambda: None)
    catalogue.update()
    found = [run for run in catalogue.runs if name in run]
    if len(found) != 1:
        raise click.UsageError(f"{len(found)} runs are called {name!r} in {messages.link.place}")
    return found[0]
