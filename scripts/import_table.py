"""A contract of import-linter: a table that says of each room what it may import.

A room is a package or module right below the container. A row reads ``gate -> config, events``:
rooms on the left, and on the right rooms and third-party packages. ``*`` is every room: contracts
of layers say in which order.
"""

import sys
from collections.abc import Iterator
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class ImportTable(Contract):
    """Each import of a room on the left is one of its row.

    Options:
        container: The package whose rooms these are.
        rows: The table.
        everyone: What each of them may import, beside what its row says.
        unloaded: Imports beyond the table that only type checkers make, as ``room.module ->
            room.module``; each must be there.
        whole: Whether every room must have a row. A row's rooms must exist then.
    """

    type_name = "table"

    # What a field reads takes its place.
    container: Any = fields.StringField()
    rows: Any = fields.ListField(subfield=fields.StringField())
    everyone: Any = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    unloaded: Any = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    whole: Any = fields.BooleanField(required=False, default=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - as Contract has it
        """Hold the imports of *graph* against the table."""
        options = self.contract_options
        unloaded: Any = set(options.get("unloaded", []))
        problems, passed_over = [], set()
        for importer, imported in self._imports_beyond(graph):
            arrow = f"{self._within(importer)} -> {self._within(imported)}"
            if arrow in unloaded:
                passed_over.add(arrow)
            else:
                lines = graph.get_import_details(importer=importer, imported=imported)
                numbers = ", ".join(f"l.{line['line_number']}" for line in lines)
                problems.append(f"{importer} -> {imported} ({numbers})")
        problems += [f"{arrow}: no such import" for arrow in sorted(unloaded - passed_over)]
        if self.whole:
            rooms = {room for module in graph.modules if (room := self._room(module))}
            listed = set(self._table())
            problems += [f"{room}: the table has no row for it" for room in sorted(rooms - listed)]
            problems += [f"{room}: no such room" for room in sorted(listed - rooms)]
        return ContractCheck(kept=not problems, metadata={"problems": problems})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print what is not in the table."""
        for problem in check.metadata["problems"]:
            output.print_error(f"- {problem}", bold=False)
        output.new_line()

    def _table(self) -> dict[str, set[str]]:
        table: dict[str, set[str]] = {}
        for row in self.rows:
            rooms, _, allowed = row.partition("->")
            names = {*_names(allowed), *self.everyone}
            for room in _names(rooms):
                table.setdefault(room, set()).update(names)
        return table

    def _imports_beyond(self, graph: ImportGraph) -> Iterator[tuple[str, str]]:
        table = self._table()
        for importer in sorted(graph.modules):
            room = self._room(importer)
            if room not in table:
                continue
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                target = self._room(imported)
                if target is None:  # the container itself counts as one of the rooms
                    package = imported.partition(".")[0]
                    target = "*" if imported == self.container else package
                elif "*" in table[room]:
                    continue
                if target not in {room, *table[room], *sys.stdlib_module_names}:
                    yield importer, imported

    def _room(self, module: str) -> str | None:
        within = self._within(module)
        return None if within == module else within.partition(".")[0]

    def _within(self, module: str) -> str:
        return module.removeprefix(f"{self.container}.")


def _names(text: str) -> list[str]:
    return [name for name in map(str.strip, text.split(",")) if name]
