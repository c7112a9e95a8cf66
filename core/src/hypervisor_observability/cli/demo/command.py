"""``hvobs demo``: the whole at work, on real work, with nothing to set up."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import attrs
import click

from ... import output
from ...events.event import HypervisorEvent
from ...host.observability import Observability
from ...host.plugins import SHIPPED
from ...tree import build_tree, tree_to_dict
from ..config_option import need_file
from ..tree import EventsByTrace, draw
from .backends import embedded_backends
from .desk.run import serve
from .desk.story import DemoPrices
from .report import DemoReport
from .run import NOT_INSTALLED, Demonstration, demonstrate

_UPLOAD_FILE = "jaeger-upload.json"


@click.command(short_help="Show the whole at work: real work, all four plugins.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Send to the backends of this configuration instead of receivers inside the command.",
)
@click.option(
    "--events",
    "events_file",
    type=click.File("w", encoding="ascii", lazy=False),
    metavar="FILE",
    help="Write the events as JSON lines, for hvobs tree FILE.",
)
@click.option("--agents", is_flag=True, help="Show agents and their models instead of a release.")
@click.option("--keep", is_flag=True, help="Keep the folder with the project that was released.")
@click.option("--json", "as_json", is_flag=True, help="Write a summary as JSON.")
def demo(
    config_file: Path | None,
    events_file: IO[str] | None,
    agents: bool,  # noqa: FBT001 - click's flag
    keep: bool,  # noqa: FBT001 - likewise
    as_json: bool,  # noqa: FBT001 - likewise
) -> None:
    """Have agents release a small project, and show what each backend gets to see of it.

    The project is byte-compiled, built, tested and published by real processes in a
    temporary folder. A test fails, so what was written is removed again; an agent repairs the
    bug, and the second release succeeds. Events go to every installed plugin, which sends to
    a receiver inside the command. Exit code 1 if any backend has not just what was emitted.

    With --agents, two agents see to a customer instead: in LangGraph where that and
    hypervisor-langchain are installed, else in plain Python. Their model is a fake one.
    """
    if agents and keep:
        raise click.UsageError("--agents writes no project that --keep could keep")
    observability = (
        None if config_file is None else Observability.from_config(need_file(config_file))
    )
    if agents:
        _serve(observability, events_file, as_json=as_json)
        return
    with _folder(keep=keep) as folder:
        backends = {}
        if observability is None:
            backends = embedded_backends(str(folder / _UPLOAD_FILE) if keep else None)
        project = folder / "project"
        project.mkdir()
        shown = demonstrate(project, output.note, observability=observability, backends=backends)
    if events_file is not None:
        _write(shown.events, events_file)
    report = attrs.evolve(shown.report, folder=str(folder) if keep else None)
    if as_json:
        output.tell_json(report.as_json())
    else:
        _tell(shown, report)
    if report.all_problems():
        raise click.exceptions.Exit(1)


def _serve(
    observability: Observability | None, events_file: IO[str] | None, *, as_json: bool
) -> None:
    served = serve(output.note, observability)
    if events_file is not None:
        _write(served.events, events_file)
    prices = DemoPrices()
    by_trace = EventsByTrace()
    by_trace.add(served.events)
    trees = by_trace.trees()
    if as_json:
        traces = [tree_to_dict(tree, prices=prices) for tree in trees]
        output.tell_json(
            {
                "ok": not served.problems,
                "problems": list(served.problems),
                "answer": served.answer,
                "events": len(served.events),
                "traces": traces,
            }
        )
    else:
        output.tell("\n\n".join(draw(tree, prices=prices) for tree in trees))
    for problem in served.problems:
        output.note(f"Error: {problem}")
    if served.problems:
        raise click.exceptions.Exit(1)


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="hvobs-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _write(events: Iterable[HypervisorEvent], file: IO[str]) -> None:
    for event in events:
        file.write(json.dumps(event.to_dict()) + "\n")


def _tell(shown: Demonstration, report: DemoReport) -> None:
    lines = [draw(build_tree(shown.events, report.trace_id)), ""]
    lines += [output.harmless(plugin.line()) for plugin in report.plugins]
    if not report.plugins:
        lines.append("no plugin is configured")
    missing = [one.name for one in report.plugins if one.state == NOT_INSTALLED]
    if missing:
        names = ", ".join(SHIPPED[name] for name in missing)
        lines.append(f"What is not installed comes with {names}.")
    if report.folder is not None:
        lines.append(f"The project is in {output.harmless(report.folder)}")
    output.tell("\n".join(lines))
    for problem in report.all_problems():
        output.note(f"Error: {problem}")
