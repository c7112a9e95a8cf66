"""``hvobs nats init``: make the stream of a fleet, or change it."""

from collections.abc import Mapping, Sequence
from textwrap import indent
from typing import Any

import click

from hypervisor_nats.commands.amount_types import (
    BOUNDED_BYTES,
    BOUNDED_COUNT,
    BOUNDED_DURATION,
    DURATION,
)
from hypervisor_nats.commands.options import config_options
from hypervisor_nats.commands.patience import ask_patiently
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.link import Link
from hypervisor_nats.names import DEFAULT_PARTITIONS
from hypervisor_nats.upkeep.hints import hints, sync_hint
from hypervisor_nats.upkeep.limits import (
    Change,
    Limits,
    bucket_changes,
    differences,
    new_stream,
    partitions_of,
    told,
)
from hypervisor_nats.upkeep.making import Found, change, find, make, make_bucket
from hypervisor_observability import output

_LOSING = {"max_age", "max_bytes", "max_msgs"}
_TOLD = (
    "num_replicas", "max_age", "max_bytes", "max_msgs", "duplicate_window", "discard"
)  # fmt: skip
_MOST_PARTITIONS = 1_024


@click.command(
    name="init",
    short_help="Make the stream of a fleet, or change it.",
    epilog=output.examples(
        "hvobs nats init",
        "hvobs nats init --replicas 3 --max-age 90d --max-bytes 200G",
        "hvobs nats init --server nats://10.0.0.1:4222 --partitions 32 --dry-run",
    ),
)
@config_options
@click.option(
    "--partitions",
    type=click.IntRange(1, _MOST_PARTITIONS),
    help=f"Parts of the stream that agents share; fixed for good.  [default: {DEFAULT_PARTITIONS}]",
)
@click.option(
    "--replicas",
    type=click.IntRange(1, 5),
    help="Servers that hold the stream.  [default: 3 of a cluster, else 1]",
)
@click.option(
    "--max-age", type=BOUNDED_DURATION, help="Longest time to keep events.  [default: 30d]"
)
@click.option("--max-bytes", type=BOUNDED_BYTES, help="Most to keep.  [default: unlimited]")
@click.option(
    "--max-messages",
    type=BOUNDED_COUNT,
    help="Most messages to keep, of some 100 events each.  [default: unlimited]",
)
@click.option(
    "--duplicate-window",
    type=DURATION,
    help="How long the server refuses a repeated message.  [default: 2m]",
)
@click.option(
    "--discard",
    type=click.Choice(["old", "new"]),
    help="Whether a full stream drops old events, or refuses new ones, which then wait in"
    " their journals.  [default: old]",
)
@click.option("--monitor", metavar="URL", help="A server's monitoring port: http://HOST:8222.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
def init_command(
    config: NatsConfig,
    partitions: int | None,
    monitor: str | None,
    yes: bool,  # noqa: FBT001 - click's flag
    dry_run: bool,  # noqa: FBT001 - click's flag
    **asked: Any,
) -> None:
    """Make the stream of a fleet, and the bucket in which agents keep their positions.

    If they exist, only the options that you give change: the command shows the difference, and
    asks. The number of partitions cannot change.
    """
    limits = Limits(
        max_age_seconds=asked.pop("max_age"),
        duplicate_window_seconds=asked.pop("duplicate_window"),
        **asked,
    )
    link = Link(config, "init")
    try:
        found = ask_patiently(link, find)
        if found.stream is None:
            stream = _make(link, found, partitions or DEFAULT_PARTITIONS, limits, dry_run=dry_run)
        else:
            stream = _change(link, found, partitions, limits, ask=not yes, dry_run=dry_run)
        _keep_bucket(link, found, stream, dry_run=dry_run)
    finally:
        link.close()
    _tell_hints(config, found, stream, monitor)


def _make(
    link: Link, found: Found, partitions: int, limits: Limits, *, dry_run: bool
) -> dict[str, Any]:
    settings = new_stream(link.config, partitions, limits, found.usual_replicas)
    window, age = settings["duplicate_window"], settings["max_age"]
    if 0 < age < window:  # the server would refuse it
        settings["duplicate_window"] = age
    if not dry_run:
        ask_patiently(link, lambda server: make(server, settings))
    output.tell(f"stream {link.config.stream}: {'would be made' if dry_run else 'made'}")
    _tell_settings(settings)
    return settings


def _change(
    link: Link,
    found: Found,
    partitions: int | None,
    limits: Limits,
    *,
    ask: bool,
    dry_run: bool,
) -> dict[str, Any]:
    settings = dict(found.stream or {})
    name = link.config.stream
    compared = differences(link.config, settings, partitions, limits)
    if compared.obstacles:
        raise click.ClickException("\n".join(compared.obstacles))
    changes = list(compared.changes)
    if not changes:
        output.tell(f"stream {name}: nothing to change")
        _tell_settings(settings)
        return settings
    output.tell(f"stream {name}: {'would be changed' if dry_run else 'to be changed'}")
    rows = [(one.name, told(one.key, one.was), "->", told(one.key, one.will)) for one in changes]
    output.tell(output.table([("SETTING", "IS", "", "WILL BE"), *rows]))
    count = found.state.get("messages", 0)
    if count and any(map(_takes_away, changes)):
        output.note(
            f"the oldest of its {count:,} messages are deleted at once where they exceed this"
        )
    if not dry_run:
        if ask:
            click.confirm(f"change stream {name}", abort=True, err=True)
        ask_patiently(link, lambda server: change(server, settings, changes))
        output.tell(f"stream {name}: changed")
    return {**settings, **{one.key: one.will for one in changes}}


def _takes_away(one: Change) -> bool:
    was = one.was or 0
    return one.key in _LOSING and one.will > 0 and (was <= 0 or one.will < was)


def _keep_bucket(link: Link, found: Found, stream: Mapping[str, Any], *, dry_run: bool) -> None:
    """Have the bucket be there, on as many servers as the stream."""
    name, replicas = link.config.bucket, stream["num_replicas"]
    if found.bucket is None:
        if not dry_run:
            ask_patiently(link, lambda server: make_bucket(server, replicas))
        output.tell(f"bucket {name}: {'would be made' if dry_run else 'made'}")
        return
    bucket, changes = found.bucket, bucket_changes(found.bucket, replicas)
    for one in changes:
        verb = "would have" if dry_run else "has"
        output.tell(f"bucket {name}: {verb} {one.name} {told(one.key, one.will)}, as the stream")
    if changes and not dry_run:
        ask_patiently(link, lambda server: change(server, bucket, changes))


def _tell_settings(settings: Mapping[str, Any]) -> None:
    rows: list[Sequence[str]] = [
        ("subjects", ", ".join(settings["subjects"])),
        ("partitions", str(partitions_of(settings))),
    ]
    rows += [(Change(key, None, None).name, told(key, settings.get(key))) for key in _TOLD]
    output.tell(indent(output.table(rows), "  "))


def _tell_hints(
    config: NatsConfig, found: Found, stream: Mapping[str, Any], monitor: str | None
) -> None:
    said = [*hints(config, found, stream), sync_hint(monitor)]
    for hint in filter(None, said):
        output.note(f"note: {hint}")
