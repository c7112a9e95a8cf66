"""The work of the demonstration: agents release a project, fail, repair it and succeed."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from attrs import define, field

from ...events.event_types import EventType
from ...recorder import Recorder
from .agents import GovernedAgent, Policy, Refused
from .project import Project, ToolFailed
from .sources import edits

FIRST, SECOND = "1.0", "1.0.1"
"""The version whose tests fail, and the one behind the repair."""

REQUIRED_RINGS = {
    "compile": 3,
    "build": 3,
    "test": 3,
    "run": 3,
    "edit": 3,
    "publish": 1,
    "shell_exec": 0,
}
"""The outermost ring that may use each tool; 0 is the innermost."""

RINGS = {"orchestrator": 2, "builder": 3, "tester": 3, "developer": 3, "publisher": 3}
"""The ring of each agent."""

_TEXT = "agents and the lines that they wrote\n"
_ELEVATION_SECONDS = 30.0

Say = Callable[[str], None]


@define(eq=False)
class Release:
    """Agents that bring a project to its release; an orchestrator delegates to the others.

    Attributes:
        recorder: Where their work is recorded.
        project: What they work on.
        say: Is told each thing that happens, in a line.
        trace_id: The trace of the work, once it has begun.
        problems: What was found on disk, or left undone, against expectation.
    """

    recorder: Recorder
    project: Project
    say: Say
    trace_id: str = field(default="", init=False)
    problems: list[str] = field(factory=list, init=False)
    _agents: Mapping[str, GovernedAgent] = field(init=False)

    def __attrs_post_init__(self) -> None:
        policy = Policy(REQUIRED_RINGS)
        self._agents = {
            name: GovernedAgent(name, ring, policy, self.recorder) for name, ring in RINGS.items()
        }

    def trust_scores(self) -> dict[str, float]:
        """Give how far each agent is trusted, 0 to 1000."""
        return {agent.did: agent.trust_score for agent in self._agents.values()}

    def run(self) -> None:
        """Do the work. What goes wrong against expectation is in ``problems``."""
        with (
            self.recorder.session(max_participants=len(RINGS)),
            self._agents["orchestrator"].at_work() as agent,
        ):
            self.trace_id = agent.trace.trace_id
            try:
                self._run()
            except (ToolFailed, Refused, OSError) as error:
                self.problems.append(f"the release could not be made: {error}")

    def _run(self) -> None:
        try:
            self._release(FIRST)
        except ToolFailed:
            self.say(f"orchestrator: release {FIRST} is called off, and all of it undone")
        else:
            self.problems.append(f"release {FIRST} was to fail and did not")
            return
        left = self.project.leftovers()
        if left:
            self.problems.append(f"undoing release {FIRST} has left {', '.join(left)}")
            return
        self.say(f"orchestrator: checked the folder: release {FIRST} has left no file in it")
        self._repair()
        self._release(SECOND)

    def _release(self, version: str) -> None:
        project, archive = self.project, self.project.archive(version)
        self.say(f"orchestrator: release {version} begins")
        with self.recorder.saga(
            "release", saga_id=f"release-{version}", step_count=5, compensate=True
        ) as saga:
            undo = self._undo(project.remove_byte_code)
            with saga.step("compile", undo=undo) as step, self._agents["builder"].at_work():
                self._agents["builder"].ask_for("compile")
                step.result = f"{len(self._wrote(project.byte_compile()))} files"
                self.say(f"builder: byte-compiled {step.result}")
            undo = self._undo(partial(project.remove_archive, version))
            with saga.step("build", undo=undo) as step, self._agents["builder"].at_work():
                self._agents["builder"].ask_for("build")
                self._wrote([project.build(version)])
                step.result = f"{archive.stat().st_size} bytes"
                self.say(f"builder: built {archive.name}, {step.result}")
            with saga.step("test") as step:
                step.result = self._test(archive)
            undo = self._undo(partial(project.withdraw, archive))
            with saga.step("publish", undo=undo) as step, self._agents["publisher"].at_work():
                released = self._publish(archive)
                step.result = project.name(released)
            with saga.step("try") as step, self._agents["tester"].at_work():
                self._agents["tester"].ask_for("run")
                step.result = f"prints: {project.run(released, _TEXT)}"
                self.say(f"tester: {released.name} {step.result}")

    def _test(self, archive: Path) -> str:
        # A tester that reports a failure has done its work: it is the step that fails.
        with self._agents["tester"].at_work():
            self._agents["tester"].ask_for("test")
            failure = None
            try:
                report = f"{self.project.test(archive)} tests passed"
            except ToolFailed as error:
                failure, report = error, str(error)
            found = "found the bug: " if failure else ""
            self.say(f"tester: {found}{report}")
        if failure is not None:
            raise failure
        return report

    def _publish(self, archive: Path) -> Path:
        publisher, project = self._agents["publisher"], self.project
        try:
            publisher.ask_for("shell_exec")
        except Refused as refusal:
            self.say(f"publisher: refused: {refusal}")
        else:
            self.problems.append("shell_exec was to be refused and was not")
        with publisher.elevated(
            1, reason=f"publish {archive.name}", ttl_seconds=_ELEVATION_SECONDS
        ):
            publisher.ask_for("publish")
            released = project.publish(archive)
            self._wrote([released])
        self.say(f"publisher: published {project.name(released)}")
        return released

    def _repair(self) -> None:
        """Try small edits until the tests pass."""
        developer, project = self._agents["developer"], self.project
        source = project.buggy.read_text(encoding="utf-8")
        with developer.at_work(), self.recorder.saga("repair", saga_id="repair-1.0") as saga:
            for attempt, edit in enumerate(edits(source), 1):
                tried = f"line {edit.line} as '{edit.after}'"
                try:
                    with saga.step("edit", attempt=attempt) as step:
                        developer.ask_for("edit")
                        self._edit(edit.source)
                        developer.ask_for("test")
                        step.result = f"{project.test(project.app)} tests pass with {tried}"
                        self.say(f"developer: try {attempt}: {step.result}: repaired")
                        return
                except ToolFailed as failure:
                    self.say(f"developer: try {attempt}: {tried} is not it, taken back: {failure}")
                    self._edit(source)
            raise ToolFailed("no edit made the tests pass")

    def _edit(self, text: str) -> None:
        path = self.project.buggy
        previous = _digest(path)
        path.write_text(text, encoding="utf-8")
        self.recorder.vfs_write(
            self.project.name(path), content_hash=_digest(path), previous_hash=previous
        )

    def _wrote(self, paths: list[Path]) -> list[Path]:
        for path in paths:
            self.recorder.vfs_write(self.project.name(path), content_hash=_digest(path))
        return paths

    def _undo(self, remove: Callable[[], Iterable[Path]]) -> Callable[[], None]:
        """Make the undo of a step from what removes its files and gives their paths."""

        def undo() -> None:
            for path in remove():
                name = self.project.name(path)
                self.recorder.record(EventType.VFS_DELETE, path=name, operation="delete")
                self.say(f"orchestrator: undone: removed {name}")

        return undo


def _digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
