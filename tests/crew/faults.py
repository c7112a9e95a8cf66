"""Which tests say what is wrong with a source that is broken."""

from typing import Any

from tests.crew.crew_source import CrewSource, Watching


class Faults(dict[type[CrewSource], set[str]]):
    """Broken sources, with the tests in which that shows."""

    def fails(self, *tests: str) -> Any:
        """Note a broken source, or one that has something broken watch, with its *tests*."""

        def note(broken: type) -> type:
            source = broken
            if issubclass(broken, Watching):
                source = type(broken.__name__, (CrewSource,), {"watching": broken})
            self[source] = set(tests)
            return broken

        return note
