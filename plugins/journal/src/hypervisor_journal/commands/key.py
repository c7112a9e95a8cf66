"""``hvobs journal key``: make the file from which the anchors of journals get their keys."""

from pathlib import Path

import click

from hypervisor_journal.proof.key_files import make_key_file
from hypervisor_observability import output


@click.command(
    name="key",
    short_help="Make a key file for a journal's anchors.",
    epilog=output.examples("hvobs journal key anchors.key"),
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def key_command(file: Path) -> None:
    """Make FILE, for anchor_key_file of [plugins.journal], and write its first key to stdout.

    Keep that key where the journal is not: 'hvobs journal verify --key' needs it. The file
    forgets it with the first process that journals.
    """
    try:
        key = make_key_file(file)
    except FileExistsError as error:
        text = f"{file} is there already: a key file is made once, or its anchors prove nothing"
        raise click.ClickException(text) from error
    output.note("keep this key where the journal is not:")
    output.tell(key)
