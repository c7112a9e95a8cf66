"""Where questions are asked: each opens the history anew, so that one that comes or goes is met."""

from collections.abc import Callable
from pathlib import Path

import click
from attrs import define

from hypervisor_observability.errors import ObservabilityError
from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.hookspecs import CommandContext
from hypervisor_observability.text.error_text import reason_of

from .answers.answer import Answer, CannotAnswerError
from .answers.health import delivery_health
from .answers.reading import Clock, Reading
from .answers.shortening import counted, line

_MOST_NOTICES = 5


@define(eq=False)
class Questions:
    """What the command was told to read.

    Attributes:
        context: The configuration.
        journal: The directory of a journal, in place of the configuration's store.
        file: The configuration's file; None: that of the working directory.
        store: Name of a store's plugin, in place of the configuration's store.
    """

    context: CommandContext
    journal: Path | None = None
    file: Path | None = None
    store: str | None = None

    def prices(self) -> Prices | None:
        """Give the prices by which the configuration estimates costs."""
        try:
            return self.context.prices(self.file)
        except (ObservabilityError, click.ClickException):
            return None  # whoever asks for the history is told of the configuration

    def ask(self, question: Callable[[Reading], Answer]) -> Answer:
        """Open the history, and have a question answered.

        Raises:
            CannotAnswerError: There is no answer; the text says why.
        """
        notices: list[str] = []
        clock = Clock()
        try:
            with self.context.history(
                notices.append,
                journal=self.journal,
                store=self.store,
                file=self.file,
                step=clock.check,
            ) as history:
                answer = question(Reading(history, clock=clock))
        except click.ClickException as error:
            raise _unopened(error.format_message()) from error
        except (ObservabilityError, OSError) as error:
            raise _unopened(reason_of(error)) from error
        if notices:
            answer.notes.append(
                f"{counted(len(notices), 'place')} could not be read: this answer is not whole."
            )
            shown = [line(one, 300) for one in notices[:_MOST_NOTICES]]
            answer.add_lines("could not be read", shown)
        return answer

    def problem(self) -> str | None:
        """Say why the history cannot be opened now; None if it can."""
        try:
            self.ask(lambda _: Answer())
        except CannotAnswerError as error:
            return str(error)
        return None

    def health(self) -> Answer:
        """Say how events are delivered, and what there is to ask."""
        statuses = self.context.statuses(self.file)
        try:
            return self.ask(lambda reading: delivery_health(reading, statuses))
        except CannotAnswerError as error:
            answer = delivery_health(None, statuses)
            answer.notes.append(str(error))
            answer.add_lines("history", error.recorded)
            return answer


def _unopened(reason: str) -> CannotAnswerError:
    # The reason is about the user's own configuration and directories. Coding agents start servers
    # where they like, so a relative path or "this directory" needs to be told.
    return CannotAnswerError(
        f"The history cannot be read: {line(reason, 1_000)}. This server runs in"
        f" {_working_directory()}. Tell the user: hvobs mcp takes"
        " --journal DIR, a directory that a journal was written to, or --config FILE, a"
        " hypervisor.toml that turns on a store. Ask again once something was recorded."
    )


def _working_directory() -> str:
    try:
        return line(Path.cwd(), 1_000)
    except OSError:
        return "a directory that is gone"
