"""``hvobs new-plugin``: write a package for a new plugin."""

from pathlib import Path

import click

from ... import output
from ...errors import ObservabilityError
from ...host.plugins import SHIPPED
from ...text.error_text import reason_of
from .package import KINDS, Package, mistake_in, mistake_in_kind


def _known_kind(_: click.Context, __: click.Parameter, kind: str) -> str:
    wrong = mistake_in_kind(kind)
    if wrong is not None:
        raise click.BadParameter(wrong)
    return kind


@click.command(
    short_help="Write a package for a new plugin.",
    epilog=output.examples(
        "hvobs new-plugin acme-log", "hvobs new-plugin acme-traces --kind spans --output ~/src"
    ),
)
@click.argument("name")
@click.option(
    "--kind",
    callback=_known_kind,
    metavar=f"[{'|'.join(KINDS)}]",
    default="events",
    show_default=True,
    help="What the plugin takes; a source writes events.",
)
@click.option(
    "--output",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Where to make the folder; else the working directory.",
)
def new_plugin(name: str, kind: str, parent: Path) -> None:
    """Write an installable package for a plugin called NAME, with tests that pass.

    NAME is that of the table: hvobs new-plugin acme-log makes the folder hypervisor-acme-log, for
    [plugins.acme-log]. An existing folder is never written to.
    """
    from ..main import COMMANDS

    wrong = mistake_in(name, frozenset({*COMMANDS, *SHIPPED}))
    if wrong is not None:
        raise click.BadParameter(f"{name!r}: {wrong}", param_hint="NAME")
    package = Package(name, kind)
    folder = parent / package.distribution
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise click.UsageError(
            f"{folder} exists: name another folder with --output, or remove it"
        ) from None
    except OSError as error:
        raise ObservabilityError(f"{folder}: {reason_of(error)}") from error
    for path, text in package.files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    output.tell(f"wrote {folder}: the plugin is in src/{package.module}/__init__.py")
    output.tell(
        "\n".join(
            [
                "what to type next:",
                f"  cd {folder}",
                "  python -m pip install --editable '.[test]'",
                "  python -m pytest",
                "  hvobs check          # hypervisor.toml there turns the plugin on",
            ]
        )
    )
