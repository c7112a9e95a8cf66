"""``hvobs run``: run a program as it stands, with the sources of a configuration on."""

import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import click

from .. import output
from ..config import disabled
from ..config.lookup import DISABLED_VARIABLE
from ..host.launch import execute
from ..host.loading import part_plugins
from ..host.sources.framework import Framework
from .check import load_all
from .config_option import config_option, need_file

_PROGRAM = "program"
_PYTHON = re.compile(r"(python|pypy)[\d.]*t?(\.exe)?", re.IGNORECASE)


class _Run(click.Command):
    """A command whose arguments end where the program's begin, as those of Python do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, program = _split(args)
        ctx.meta[_PROGRAM] = program
        return super().parse_args(ctx, own)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-m MODULE | -c CODE | SCRIPT] [ARGS]..."]


def _split(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell our own arguments from what the interpreter gets."""
    at = 0
    while at < len(args):
        one = args[at]
        if one == "--":
            return list(args[:at]), list(args[at + 1 :])
        if one.startswith(("-m", "-c")) or one == "-" or not one.startswith("-"):
            break
        at += 2 if one in {"--config", "--plugins-dir"} else 1
    return list(args[:at]), list(args[at:])


def _refuse_absent(script: str, ctx: click.Context) -> None:
    """Say so where there is no such *script*, and what was meant, if that is plain."""
    path = Path(script)
    if _PYTHON.fullmatch(path.name) and (not path.exists() or os.access(path, os.X_OK)):
        raise click.UsageError(f"leave out {script}: the program runs in hvobs's own Python", ctx)
    if script.startswith("-") or path.exists():
        return
    instead = ""
    if Path(f"{script}.py").exists():
        instead = f"; did you mean {script}.py?"
    elif script.isidentifier() and _is_module(script):
        instead = f"; for the module: -m {script}"
    raise click.UsageError(f"there is no file {script}{instead}", ctx)


def _is_module(name: str) -> bool:
    try:
        return name != "__main__" and find_spec(name) is not None
    except ValueError:  # it is imported, and nobody has found it anywhere
        return False


@config_option
@click.command(
    cls=_Run,
    short_help="Run a program with the sources of a configuration on.",
    epilog=output.examples(
        "hvobs run app.py",
        "hvobs run --config staging.toml app.py --verbose",
        "hvobs run -m package.module",
    ),
)
@click.pass_context
def run(ctx: click.Context, config_file: Path | None) -> None:
    """Run a Python program as it stands, and have the sources of the configuration see it.

    SCRIPT or -m MODULE, and ARGS, are what you would give to Python: the program runs in this
    process, with this interpreter. It ends as it would without this command: same exit code, same
    signals. Its Python child processes are seen too. At the end, a line on stderr says what was
    seen, and where.
    """
    program: list[str] = ctx.meta[_PROGRAM]
    if not program or program in (["-m"], ["-c"]):
        raise click.UsageError(
            "nothing to run: name a script, a module with -m, or code with -c", ctx
        )
    _refuse_absent(program[0], ctx)
    path = need_file(config_file)
    config, loaded = load_all(path)
    sources = part_plugins(loaded, config)[0].sources
    if disabled():
        output.note(f"{DISABLED_VARIABLE} is true: nothing is observed")
    elif not sources:
        output.note(f"{path}: no source is on: nothing is observed")
    targets: list[str] = []
    for source in sources:
        targets += Framework.of(source.instance).targets or ("",)
    raise click.exceptions.Exit(execute(program, path, dict.fromkeys(targets)))
