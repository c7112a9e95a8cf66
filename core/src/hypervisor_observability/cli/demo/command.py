"""``hvobs demo``: the whole at work, on real work, with nothing to set up."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import attrs
import click

from ... import output
from ...host.observability import Observability
from ...host.plugins import SHIPPED
from ...tree import build_tree, tree_to_dict
from ..config_option import need_file
from ..tree import EventsByTrace, draw
from .backends import embedded_backends
from .desk.run import serve
from .desk.story import DemoPrices
from .keeping import Keeping, heading, note_heading
from .report import DemoReport
from .run import NOT_INSTALLED, Demonstration, demonstrate

_UPLOAD_FILE = "jaeger-upload.json"


@click.command(
    short_help="Show the whole at work: real work, all plugins.",
    epilog=output.examples("hvobs demo", "hvobs demo --agents", "hvobs demo --report report.html"),
)
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
@click.option(
    "--journal",
    "journal",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("hvobs-demo"),
    show_default=True,
    metavar="DIR",
    help="Where to keep the events, for hvobs tree and its siblings.",
)
@click.option(
    "--report",
    "report_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a report about the run: one HTML page, as hvobs report does.",
)
@click.option("--agents", is_flag=True, help="Show agents and their models instead of a release.")
@click.option("--keep", is_flag=True, help="Keep the folder with the project that was released.")
@click.option("--json", "as_json", is_flag=True, help="Write a summary as JSON.")
def demo(
    config_file: Path | None,
    events_file: IO[str] | None,
    journal: Path,
    report_file: Path | None,
    agents: bool,  # noqa: FBT001 - click's flag
    keep: bool,  # noqa: FBT001 - likewise
    as_json: bool,  # noqa: FBT001 - likewise
) -> None:
    r"""Have agents release a small project, and show what each backend gets to see of it.

    The project is byte-compiled, built, tested and published by real processes in a
    temporary folder. A test fails, so what was written is removed again; an agent repairs the
    bug, and the second release succeeds. Events go to every installed plugin, which sends to
    a receiver inside the command. Exit code 1 if any backend has not just what was emitted.

    With --agents, two agents see to a customer instead: in LangGraph where that and
    hypervisor-langchain are installed, else in plain Python. Their model is a fake one.

    The events are kept in a journal of some megabytes at most, which the last lines name.

    \b
    Examples:
      hvobs demo
      hvobs demo --report demo.html
      hvobs demo --config hypervisor.toml
    """
    if agents and keep:
        raise click.UsageError("--agents writes no project that --keep could keep")
    observability = (
        None if config_file is None else Observability.from_config(need_file(config_file))
    )
    keeping = Keeping(config_file, events_file, journal, report_file)
    keeping.check()
    note_heading("What happened")
    if agents:
        _serve(observability, keeping, as_json=as_json)
    else:
        _release(observability, keeping, keep=keep, as_json=as_json)


def _release(
    observability: Observability | None, keeping: Keeping, *, keep: bool, as_json: bool
) -> None:
    with _folder(keep=keep) as folder:
        backends = {}
        if observability is None:
            backends = embedded_backends(str(folder / _UPLOAD_FILE) if keep else None)
        project = folder / "project"
        project.mkdir()
        shown = demonstrate(project, output.note, observability=observability, backends=backends)
    report = attrs.evolve(shown.report, folder=str(folder) if keep else None)
    keeping.keep(shown.events, observability)
    if as_json:
        output.tell_json(report.as_json())
    else:
        _tell(shown, report, keeping)
    _fail_for(report.all_problems())


def _serve(observability: Observability | None, keeping: Keeping, *, as_json: bool) -> None:
    served = serve(output.note, observability)
    prices = DemoPrices()
    keeping.keep(served.events, observability, prices)
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
        drawn = "\n\n".join(draw(tree, prices=prices) for tree in trees)
        lines = ["", heading("Who caused what"), drawn]
        if kept := keeping.line():
            lines += ["", heading("What was kept"), kept]
        output.tell("\n".join(lines))
        keeping.tell_next()
    _fail_for(served.problems)


def _fail_for(problems: Sequence[str]) -> None:
    for problem in problems:
        output.note(f"Error: {problem}")
    if problems:
        raise click.exceptions.Exit(1)


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="hvobs-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _tell(shown: Demonstration, report: DemoReport, keeping: Keeping) -> None:
    lines = ["", heading("Who caused what")]
    lines += [draw(build_tree(shown.events, report.trace_id)), ""]
    lines += [heading("What each backend got"), report.emitted.line()]
    lines += [output.harmless(plugin.line()) for plugin in report.plugins]
    if kept := keeping.line():
        lines.append(kept)
    if not report.plugins:
        lines.append("the configuration names no backend")
    missing = [one.name for one in report.plugins if one.state == NOT_INSTALLED]
    if missing:
        names = ", ".join(SHIPPED[name] for name in missing)
        lines.append(f"What is not installed comes with {names}.")
    if report.folder is not None:
        lines.append(f"The project is in {output.harmless(report.folder)}")
    output.tell("\n".join(lines))
    keeping.tell_next()
