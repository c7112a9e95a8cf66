"""The contract between the core and the commands of a plugin: what they can ask for."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a command that asks for neither loads neither
    from .facts.prices import Prices
    from .stores import History


class CommandContext(Protocol):
    """The configuration, for the commands of a plugin. It is read when they ask.

    Each method takes the *file* that the command was given, in place of that of ``hvobs NAME``, and
    raises ``ConfigError`` where what it needs of the file cannot be used; the rest does not matter.
    """

    def state_directory(self, file: Path | None = None) -> Path | None:
        """Give the folder of the table ``[state]``; None where none is named."""

    def settings(self, file: Path | None = None) -> Any:
        """Give the plugin's ``Config`` made of its table; None where there is no such table."""

    def service(self, file: Path | None = None) -> str:
        """Give ``service`` of the configuration; its default where there is none."""

    def history(
        self,
        notice: Callable[[str], object],
        *,
        journal: Path | None = None,
        store: str | None = None,
        file: Path | None = None,
        may_be_empty: bool = False,
        step: Callable[[], object] | None = None,
    ) -> "AbstractContextManager[History]":
        """Open what was recorded, as ``hvobs query`` does; it is closed at the end of the ``with``.

        :param notice: Takes a line for each thing that cannot be read.
        :param journal: The directory of a journal, in place of the configuration's store.
        :param store: Name of a store's plugin, in place of the configuration's store.
        :param may_be_empty: Whether nothing may have been recorded yet: what comes is waited for.
        :param step: Called again and again during a long reading; what it raises ends that.
        :raises UsageError: No store is named, or nothing was recorded.
        """

    def statuses(self, file: Path | None = None) -> Mapping[str, Any]:
        """Give what processes tell of their delivery at present. Never raises for what it finds.

        :returns: ``processes``, as in ``hvobs status --json``, each with ``running``: whether it
            wrote lately. ``problems``: a line for each. ``reason``: why no process tells anything.
        """

    def prices(self, file: Path | None = None, *, estimate: bool = False) -> "Prices | None":
        """Give the prices by which costs are estimated; None where they are not.

        :param estimate: Whether they are, whatever the configuration says.
        :raises UsageError: *estimate*, and the package of the prices is not installed.
        """
