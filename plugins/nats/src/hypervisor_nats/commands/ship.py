"""``hvobs ship``: send a journal to the stream."""

import click

from hypervisor_observability import output


@click.command(
    name="ship",
    short_help="Send a journal to the stream of a fleet.",
    epilog=output.examples("hvobs ship --journal journal"),
)
@click.option("--journal", "directory", metavar="DIR", help="The directory of a journal.")
def ship_command(directory: str | None) -> None:
    """Send a journal to the stream of a fleet."""
