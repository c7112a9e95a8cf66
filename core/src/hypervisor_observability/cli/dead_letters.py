"""``hvobs dead-letters``: look at the events that backends refused, and send them again."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click

from .. import output
from ..config import load_config
from ..delivery.letter_box import Letter, LetterBox
from ..text.terminal_text import fit
from .config_option import config_option, need_file
from .resending import resend_letters
from .status import state_directory

_MAX_CELL = 60


def _places(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option that says where the dead letters are."""
    return click.option(
        "--directory",
        type=click.Path(path_type=Path, file_okay=False),
        help="The state directory; else [state] directory of the configuration.",
    )(command)


@click.group(
    invoke_without_command=True,
    short_help="Look at the events that backends refused.",
    epilog=output.examples(
        "hvobs dead-letters",
        "hvobs dead-letters list otel --limit 5",
        "hvobs dead-letters show otel 1",
        "hvobs dead-letters resend otel",
    ),
)
@click.pass_context
def dead_letters(ctx: click.Context) -> None:
    """List the events that backends refused, show one, or send them again.

    They are in the state directory, in dead/PLUGIN.jsonl. Without a command: lists them.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, config_file=None, directory=None, plugin=None, limit=20, as_json=False)


@config_option
@dead_letters.command(
    "list",
    short_help="List them, a line each.",
    epilog=output.examples("hvobs dead-letters list", "hvobs dead-letters list otel --json"),
)
@click.argument("plugin", required=False)
@_places
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, help="Most of each plugin, the oldest first."
)
@click.option("--json", "as_json", is_flag=True, help="Write each as a line of JSON.")
def list_(
    config_file: Path | None,
    directory: Path | None,
    plugin: str | None,
    limit: int,
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """List dead letters, those of PLUGIN or of all: number, time, event type, trace, reason."""
    where = state_directory(config_file, directory)
    boxes = LetterBox.all_in(where) if plugin is None else [_box(where, plugin)]
    rows: list[tuple[str, ...]] = [("PLUGIN", "NUMBER", "TIME", "EVENT", "TRACE", "REASON")]
    for box in boxes:
        letters = enumerate(box.letters(), 1)
        for number, letter in islice(letters, limit):
            if as_json:
                output.tell_json_line({"plugin": box.plugin, "number": number, **_told(letter)})
            else:
                rows.append((box.plugin, str(number), *_cells(letter)))
        more = sum(1 for _ in letters)
        if more:
            output.note(f"{box.plugin}: {more} more (--limit shows them)")
    if len(rows) > 1:
        output.tell(output.table(rows))
    elif not as_json:
        output.note(f"no dead letters in {where}")


@config_option
@dead_letters.command(
    short_help="Show one, with its whole event.",
    epilog=output.examples("hvobs dead-letters show otel 1"),
)
@click.argument("plugin")
@click.argument("number", type=click.IntRange(min=1))
@_places
def show(config_file: Path | None, directory: Path | None, plugin: str, number: int) -> None:
    """Show the dead letter NUMBER of PLUGIN as JSON: when and why it was refused, the event."""
    box = _box(state_directory(config_file, directory), plugin)
    letter = next(islice(box.letters(), number - 1, None), None)
    if letter is None:
        raise click.UsageError(f"{plugin} has no dead letter {number}: see hvobs dead-letters list")
    output.tell_json(_told(letter))


@config_option
@dead_letters.command(
    short_help="Send those of a plugin again.",
    epilog=output.examples(
        "hvobs dead-letters resend otel", "hvobs dead-letters resend otel --yes"
    ),
)
@click.argument("plugin")
@_places
@click.option("--yes", is_flag=True, help="Do not ask.")
def resend(config_file: Path | None, directory: Path | None, plugin: str, yes: bool) -> None:  # noqa: FBT001 - click's flag
    """Send the dead letters of PLUGIN again, by the plugin as the configuration has it.

    An event that the backend accepts is removed from the file; each that is refused again, or was
    not sent, stays. Processes may go on writing meanwhile. Exit code 1 if any stays.
    """
    file = need_file(config_file)
    config = load_config(file)
    if plugin not in config.plugins:
        raise click.UsageError(f"{file} has no [plugins.{plugin}]: nothing would send them")
    box = _box(state_directory(config_file, directory), plugin)
    count = sum(1 for _ in box.letters())
    if not count:
        output.note(f"{plugin} has no dead letters")
        return
    if not yes:
        click.confirm(f"send {count} dead letters of {plugin} again?", abort=True, err=True)
    result = resend_letters(config, plugin, box)
    told = [f"sent {result.sent}", f"refused again {result.refused}"]
    told += [f"not sent {result.kept} ({output.one_line(result.why)})"] if result.kept else []
    output.tell(f"{output.one_line(plugin)}: {', '.join(told)}")
    if result.refused or result.kept:
        raise click.exceptions.Exit(1)


def _box(directory: Path, plugin: str) -> LetterBox:
    return LetterBox.of(directory, plugin)


def _cells(letter: Letter) -> tuple[str, ...]:
    event = letter.event
    texts = ("-", "-", "-")
    if event is not None:
        moment = datetime.fromtimestamp(letter.time, UTC)
        trace = str(event.causal_trace_id or "-").partition("/")[0]
        texts = (f"{moment:%Y-%m-%d %H:%M:%S}Z", event.event_type.value, trace)
    return tuple(fit(output.one_line(text[:1_000]), _MAX_CELL) for text in (*texts, letter.reason))


def _told(letter: Letter) -> dict[str, Any]:
    event = None if letter.event is None else letter.event.to_dict()
    return {"time": letter.time, "reason": letter.reason, "event": event}
