"""A notebook that is executed under ``hvobs run`` is seen: its kernel is a process of its own."""

from pathlib import Path

import nbformat

from tests.frameworks import install_acme
from tests.sources.seen import Seen, see

FIRST = """
from acme_agents import Agent
agent = Agent("a", lambda **given: sorted(given))
agent.run(city="Oslo")
"""
AWAITING = """
import asyncio
await asyncio.sleep(0)
agent.run(city="Bergen")
"""
FAILING = "agent.tool = None\nagent.run(city='Stavanger')"


def execute(folder: Path, *cells: str, more: tuple[str, ...] = ()) -> Seen:
    """Execute a notebook as ``jupyter execute`` does."""
    install_acme(folder)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in cells])
    nbformat.write(notebook, folder / "work.ipynb")
    environ = {"PYTHONPATH": str(folder), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    program = ("-m", "jupyter", "execute", "--inplace", *more, "work.ipynb")
    return see(folder, program, config="[plugins.acme]\n", environ=environ)


def outputs(folder: Path) -> list[str]:
    cells = nbformat.read(folder / "work.ipynb", as_version=4).cells
    return [one.get("data", one).get("text/plain", "") for cell in cells for one in cell.outputs]


def test_cells_of_a_notebook_are_seen(tmp_path: Path) -> None:
    seen = execute(tmp_path, FIRST, AWAITING)

    assert seen.exit_code == 0, seen.stderr
    assert outputs(tmp_path) == ["['city']"] * 2
    assert len(seen.of_type("acme.agent_used")) == 2
    assert [span.name for span in seen.spans] == ["invoke_agent a"] * 2
    assert "hvobs run: events of 1 child process seen; journal keeps them" in seen.stderr


def test_cell_that_fails_is_seen_and_fails_as_before(tmp_path: Path) -> None:
    seen = execute(tmp_path, FIRST, FAILING, more=("--allow-errors",))

    assert seen.exit_code == 0, seen.stderr
    assert len(seen.of_type("acme.agent_used")) == 2
    failed = nbformat.read(tmp_path / "work.ipynb", as_version=4).cells[1].outputs[0]
    assert (failed.output_type, failed.ename) == ("error", "TypeError")
    assert not any("hypervisor" in line for line in failed.traceback)
