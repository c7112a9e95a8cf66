"""Sources that do not leave the application alone, with the tests in which that shows."""

from functools import wraps
from typing import Any, ClassVar

from hypervisor_observability import hookimpl
from hypervisor_observability.sources import SourceContext
from tests.crew import crew
from tests.crew.crew_source import CrewSource, Guarded, Watching
from tests.crew.faults import Faults

FAULTS = Faults()
fails = FAULTS.fails


class Patching(CrewSource):
    """Has something replaced beside."""

    plain: Any = None

    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        super().instrument(context)
        self.plain = plain = crew.Agent.run
        patch = self.dressed(self.around(plain), plain)
        crew.Agent.run = patch  # type: ignore[method-assign]  # as sources do

    def around(self, plain: Any) -> Any:
        """Give what takes its place."""

        def run(agent: crew.Agent, request: str) -> str:
            return str(plain(agent, request))

        return run

    def dressed(self, patch: Any, plain: Any) -> Any:
        """Give it the looks of what it replaces."""
        return wraps(plain)(patch)

    @hookimpl
    def uninstrument(self) -> None:
        super().uninstrument()
        crew.Agent.run = self.plain  # type: ignore[method-assign]  # as it was


@fails("framework_is_afterwards_as_it_was_before")
class LeavesWhatItPatched(Patching):
    @hookimpl
    def uninstrument(self) -> None:
        CrewSource.uninstrument(self)


@fails("what_a_source_replaces_looks_as_it_did")
class LooksDifferent(Patching):
    def dressed(self, patch: Any, plain: Any) -> Any:
        return patch


@fails(
    "application_gets_what_it_gets_without_the_source",
    "fault_of_recording_reaches_no_application",
    "fault_of_the_context_reaches_no_application",
)
class GivesAnswersOfItsOwn(Patching):
    def around(self, plain: Any) -> Any:
        class Answer(str):
            """A string, and then some."""

            __slots__ = ()

        return lambda agent, request: Answer(plain(agent, request))


@fails(
    "application_gets_what_it_gets_without_the_source",
    "fault_of_recording_reaches_no_application",
    "fault_of_the_context_reaches_no_application",
)
class WrapsExceptions(Patching):
    def around(self, plain: Any) -> Any:
        def run(agent: crew.Agent, request: str) -> str:
            try:
                return str(plain(agent, request))
            except RuntimeError as error:
                raise RuntimeError(str(error)) from error

        return run


@fails("fault_of_recording_reaches_no_application", "fault_of_the_context_reaches_no_application")
class Unguarded(CrewSource):
    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        super().instrument(context)
        crew.observers[-1] = self.observer = Watching(context)  # type: ignore[assignment]


@fails("framework_is_afterwards_as_it_was_before")
class StaysRegistered(CrewSource):
    @hookimpl
    def uninstrument(self) -> None:
        """Its guarded callbacks do nothing any more, and are called all the same."""


@fails(
    "nothing_is_seen_after_uninstrument",
    "framework_is_afterwards_as_it_was_before",
    "fault_of_recording_reaches_no_application",
    "fault_of_the_context_reaches_no_application",
)
class StaysAtWork(Unguarded):
    @hookimpl
    def uninstrument(self) -> None:
        """Nothing ends it."""


@fails(
    "run_is_seen_once_however_often_a_source_was_on",
    "framework_is_afterwards_as_it_was_before",
    "usage_is_counted_once",
    "handoff_is_seen",
)
class RegistersEachTime(CrewSource):
    """What it registers finds the context of today by the class."""

    context: ClassVar[SourceContext | None] = None

    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        source = type(self)
        source.context = context

        def call(name: str) -> Any:
            def guarded(*told: Any) -> None:
                if source.context is not None:
                    source.context.guarded(getattr(Watching(source.context), name))(*told)

            return guarded

        crew.observers.append(Guarded(*map(call, ("began", "ended", "handed"))))

    @hookimpl
    def uninstrument(self) -> None:
        type(self).context = None
