"""``hvobs nats status``: the state of a fleet."""

from collections.abc import Iterator, Sequence
from typing import Any

import click
from attrs import asdict

from hypervisor_nats.commands.amount_types import DURATION
from hypervisor_nats.commands.options import config_options
from hypervisor_nats.commands.patience import ask_patiently
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.following.server import Server
from hypervisor_nats.link import Link
from hypervisor_nats.server_times import seconds_between
from hypervisor_nats.upkeep.amounts import told_bytes
from hypervisor_nats.upkeep.limits import obstacles, partitions_of
from hypervisor_nats.upkeep.watching import MOST_RUNS, Agent, Fleet, Part, look
from hypervisor_observability import output
from hypervisor_observability.text.durations import duration_text


@click.command(
    name="status",
    short_help="Show the agents of a fleet, and how far each plugin is.",
    epilog=output.examples(
        "hvobs nats status",
        "hvobs nats status --plugin otel --max-behind 5m",
        "hvobs nats status --json --server nats://10.0.0.1:4222",
    ),
)
@config_options
@click.option(
    "--plugin", "plugins", multiple=True, metavar="NAME", help="Only this plugin. Repeatable."
)
@click.option(
    "--max-lag",
    type=click.IntRange(0),
    metavar="MESSAGES",
    help="Exit with 1 if a partition lags by more.",
)
@click.option(
    "--max-behind", type=DURATION, help="Exit with 1 if a partition is behind for longer."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def status_command(
    config: NatsConfig,
    plugins: tuple[str, ...],
    max_lag: int | None,
    max_behind: float | None,
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Show what the stream holds, how far each plugin is in each partition, and its agent.

    LAG counts messages, of up to 100 events each. BEHIND is how long the first of them has been
    waiting. EXPIRED events were gone before the plugin could read them. UNVERIFIED ones were
    skipped, because the chain of their run does not prove them.

    Exit code 1: a partition has no agent, or its agent is dead; the limits of the stream removed
    messages that were not read; or a partition is behind by more than an option allows.
    """
    link = Link(config, "status")
    try:
        fleet = ask_patiently(link, _look)
    finally:
        link.close()
    parts = [part for part in fleet.parts if not plugins or part.plugin in plugins]
    missing = sorted(set(plugins) - {part.plugin for part in parts})
    problems = [
        *(f"{name} has read nothing: no agent runs it" for name in missing),
        *_problems(fleet, parts, max_lag, max_behind),
    ]
    if as_json:
        output.tell_json({**_plain(fleet, parts), "problems": problems})
    else:
        _tell(link.place, fleet, parts)
        for problem in problems:
            output.note(f"wrong: {problem}")
    if problems:
        raise click.exceptions.Exit(1)


async def _look(server: Server) -> Fleet:
    config = server.link.config
    info = await server.ask(f"STREAM.INFO.{config.stream}")
    odd = obstacles(config, info["config"])
    if odd:
        raise click.ClickException("\n".join(odd))
    return await look(server, info, partitions_of(info["config"]))


def _problems(
    fleet: Fleet, parts: Sequence[Part], max_lag: int | None, max_behind: float | None
) -> Iterator[str]:
    if parts and not any(agent.lives for agent in fleet.agents):
        yield "no agent is running: start one with 'hvobs agent --from nats'"
        return
    for part in parts:
        where = f"{part.plugin}, partition {part.partition}"
        if part.owner is None:
            yield f"{where}: no agent has it"
        elif not part.lives:
            yield f"{where}: its agent is dead, and no other agent has taken it yet"
        if max_lag is not None and part.lag_messages > max_lag:
            yield f"{where}: {part.lag_messages:,} messages behind, more than {max_lag:,}"
        if max_behind is not None and part.lag_seconds > max_behind:
            behind = duration_text(part.lag_seconds)
            yield f"{where}: behind for {behind}, more than {duration_text(max_behind)}"
        if part.is_cut:
            yield f"{where}: the limits of the stream removed messages that it had not read"


def _tell(place: str, fleet: Fleet, parts: Sequence[Part]) -> None:
    state, config = fleet.stream["state"], fleet.stream["config"]
    size = f"{state['messages']:,} messages, {told_bytes(state['bytes'])}"
    shape = f"{fleet.partitions} partitions, replicas {config['num_replicas']}"
    output.tell(output.one_line(f"{place}: {size}, {shape}"))
    if state["messages"]:
        oldest, newest = (_ago(state[key], fleet.now) for key in ("first_ts", "last_ts"))
        output.tell(f"oldest message {oldest}, newest {newest}")
    if fleet.services is None:
        output.tell(f"\nmore than {MOST_RUNS:,} runs: services are not listed")
    elif fleet.services:
        rows = [("SERVICE", "RUNS", "LIVING", "NEWEST")]
        rows += [
            (
                one.service,
                str(one.runs),
                str(one.living),
                f"{duration_text(one.silent_seconds)} ago",
            )
            for one in fleet.services
        ]
        output.tell("\n" + output.table(rows))
    if fleet.agents:
        output.tell("\n" + output.table([("AGENT", "STATE", "HOST", "PID", "PARTITIONS"),
                                         *map(_agent_row, fleet.agents)]))  # fmt: skip
    else:
        output.tell("\nno agent reads it: start one with 'hvobs agent --from nats'")
    if parts:
        header = ("PLUGIN", "PARTITION", "AGENT", "LAG", "BEHIND", "EXPIRED", "UNVERIFIED")
        output.tell("\n" + output.table([header, *map(_part_row, parts)]))


def _agent_row(agent: Agent) -> tuple[str, ...]:
    state = "running" if agent.lives else f"dead for {duration_text(agent.silent_seconds)}"
    return agent.id, state, agent.host, str(agent.pid), str(agent.partitions)


def _part_row(part: Part) -> tuple[str, ...]:
    owner = part.owner if part.lives else f"{part.owner} (dead)"
    return (
        part.plugin,
        str(part.partition),
        "-" if part.owner is None else str(owner),
        f"{part.lag_messages:,}",
        duration_text(part.lag_seconds) if part.lag_messages else "-",
        f"{part.expired:,}",
        f"{part.unverified:,}",
    )


def _plain(fleet: Fleet, parts: Sequence[Part]) -> dict[str, Any]:
    state, config = fleet.stream["state"], fleet.stream["config"]
    services = fleet.services
    return {
        "stream": {
            "name": config["name"], "messages": state["messages"], "bytes": state["bytes"],
            "first_sequence": state["first_seq"], "last_sequence": state["last_seq"],
            "partitions": fleet.partitions, "replicas": config["num_replicas"], "time": fleet.now,
        },
        "services": None if services is None else [asdict(one) for one in services],
        "agents": [asdict(one) for one in fleet.agents],
        "partitions": [asdict(one) for one in parts],
    }  # fmt: skip


def _ago(moment: str, now: str) -> str:
    return f"{duration_text(seconds_between(moment, now))} ago"
