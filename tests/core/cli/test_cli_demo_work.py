"""The work of the demonstration is real: files, processes, a failure, an undo, a repair."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import EventType, HypervisorEventBus, Recorder
from hypervisor_observability.cli.demo import project as demo_project
from hypervisor_observability.cli.demo import release as demo_release
from hypervisor_observability.cli.demo.agents import GovernedAgent, Policy, Refused
from hypervisor_observability.cli.demo.project import Project, ToolFailed
from hypervisor_observability.cli.demo.release import REQUIRED_RINGS, Release
from hypervisor_observability.cli.demo.sources import BUGGY, FILES, edits
from tests.programs import run


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.write(tmp_path)


@pytest.fixture
def released(project: Project, bus: HypervisorEventBus) -> Release:
    """A release that has run."""
    release = Release(Recorder(bus), project, lambda _: None)
    release.run()
    return release


def repaired(project: Project) -> None:
    source = FILES[BUGGY].replace("len(text) < limit", "len(text) <= limit")
    project.buggy.write_text(source, encoding="utf-8")


# The project and its tools


def test_project_has_a_bug_that_its_tests_find(project: Project) -> None:
    with pytest.raises(ToolFailed, match="1 of 5 tests failed: test_text_of_just_the_limit_stays"):
        project.test(project.app)


def test_byte_code_is_written_and_removed(project: Project) -> None:
    written = project.byte_compile()

    assert len(written) == 3
    assert all(path.stat().st_size for path in written)
    assert project.leftovers()

    assert project.remove_byte_code() == written
    assert project.leftovers() == []


def test_archive_runs_and_is_removed(project: Project) -> None:
    archive = project.build("1.0")

    assert project.run(archive, "a line") == "a line [line]"
    assert project.leftovers() == ["dist", "dist/textkit-1.0.pyz"]

    assert project.remove_archive("1.0") == [archive]
    assert project.leftovers() == []


def test_archive_is_published_once_and_withdrawn(project: Project) -> None:
    archive = project.build("1.0")
    released = project.publish(archive)

    assert released.read_bytes() == archive.read_bytes()
    with pytest.raises(ToolFailed, match="released before"):
        project.publish(archive)

    assert project.withdraw(archive) == [released]
    assert not released.parent.exists()


def test_tests_leave_no_byte_code_behind(project: Project) -> None:
    repaired(project)

    assert project.test(project.app) == 5
    assert project.leftovers() == []


def test_missing_tests_are_no_success(project: Project) -> None:
    (project.folder / "tests" / "test_lines.py").unlink()

    with pytest.raises(ToolFailed, match="0 of 0 tests failed"):
        project.test(project.app)


def test_tests_that_cannot_be_imported_are_named(project: Project) -> None:
    project.buggy.write_text("import nothing_of_this_name\n", encoding="utf-8")

    with pytest.raises(ToolFailed, match=r"1 of 1 tests failed: \w+: ImportError: Failed"):
        project.test(project.app)


def test_file_that_is_no_python_fails_the_tool(project: Project) -> None:
    project.buggy.write_text("def (:\n", encoding="utf-8")

    with pytest.raises(ToolFailed, match="compileall ended with 1"):
        project.byte_compile()


def test_tool_that_hangs_is_killed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_project, "TOOL_SECONDS", 0.5)
    hanging = project.folder / "hanging.py"
    hanging.write_text("import time\ntime.sleep(60)\n")

    with pytest.raises(ToolFailed, match=r"hanging.py took longer than 0.5 s"):
        project.run(hanging, "")


def test_edits_change_one_operator_each() -> None:
    source = FILES[BUGGY]
    found = list(edits(source))

    assert [edit.after for edit in found] == [
        "if len(word) >= len(best):",
        "if len(text) <= limit:",
        'return text[: limit + 3] + "..."',
        'return text[: limit - 3] - "..."',
    ]
    for edit in found:
        pairs = zip(source.splitlines(), edit.source.splitlines(), strict=True)
        assert [old != new for old, new in pairs].count(True) == 1


@given(st.lists(st.sampled_from(["a", "b"]), min_size=2, max_size=8), st.data())
def test_every_operator_of_a_source_is_tried(names: list[str], data: st.DataObject) -> None:
    signs = data.draw(
        st.lists(st.sampled_from(["<", ">=", "+", "-", "=="]), min_size=len(names) - 1)
    )
    source = names[0] + "".join(f" {sign} {name}" for sign, name in zip(signs, names[1:]))  # noqa: B905 - there may be more signs

    assert len(list(edits(source))) == len(names) - 1


# Agents and their policy


def test_policy_allows_from_the_required_ring_inward() -> None:
    policy = Policy({"publish": 1})

    assert [policy.evaluate("publish", ring).allowed for ring in range(4)] == [
        True,
        True,
        False,
        False,
    ]


def test_policy_refuses_what_it_does_not_know() -> None:
    verdict = Policy({}).evaluate("teleport", 0)

    assert (verdict.allowed, verdict.required_ring) == (False, None)


def test_refused_tool_is_a_decision_and_a_breach(bus: HypervisorEventBus) -> None:
    agent = GovernedAgent("ada", 3, Policy(REQUIRED_RINGS), Recorder(bus))

    with agent.at_work(), pytest.raises(Refused, match="takes ring 0, not ring 3"):
        agent.ask_for("shell_exec")

    decision = bus.query_by_type("governance.decision")[0].payload
    assert (decision["allowed"], decision["tool_name"]) == (False, "shell_exec")
    assert 0 < decision["evaluation_ms"] < 1000
    breach = bus.query_by_type(EventType.RING_BREACH_DETECTED)[0]
    assert breach.agent_did == "did:mesh:ada"
    assert (breach.payload["ring"], breach.payload["required_ring"]) == (3, 0)


def test_elevation_allows_for_its_length_only(bus: HypervisorEventBus) -> None:
    agent = GovernedAgent("ada", 3, Policy({"publish": 1}), Recorder(bus))

    with agent.elevated(1, reason="publish", ttl_seconds=60):
        assert agent.ring == 1
        agent.ask_for("publish")
    assert agent.ring == 3
    with pytest.raises(Refused):
        agent.ask_for("publish")


def test_elevation_that_has_expired_allows_nothing(bus: HypervisorEventBus) -> None:
    agent = GovernedAgent("ada", 3, Policy({"publish": 1}), Recorder(bus))

    with agent.elevated(1, reason="publish", ttl_seconds=0), pytest.raises(Refused):
        agent.ask_for("publish")


# The release


def test_second_release_is_published_and_runs(released: Release, project: Project) -> None:
    (archive,) = (project.folder / "releases").iterdir()

    assert released.problems == []
    assert archive.name == "textkit-1.0.1.pyz"
    command = [sys.executable, str(archive)]
    done = run(command, check=True, input="to be run")
    assert done.stdout == "to be run [run]\n"


def test_first_release_is_undone_and_the_repair_stands(
    released: Release, bus: HypervisorEventBus, project: Project
) -> None:
    ends = bus.query_by_type(EventType.SAGA_COMPLETED)

    assert [(end.payload["saga_id"], end.payload["outcome"]) for end in ends] == [
        ("release-1.0", "compensated"),
        ("repair-1.0", "committed"),
        ("release-1.0.1", "committed"),
    ]
    assert not project.archive("1.0").exists()
    assert "<= limit" in project.buggy.read_text(encoding="utf-8")
    deleted = [event.payload["path"] for event in bus.query_by_type(EventType.VFS_DELETE)]
    assert deleted[0] == "dist/textkit-1.0.pyz"
    assert len(deleted) == 4
    assert released.trace_id


def test_work_is_delegated_under_one_trace(released: Release, bus: HypervisorEventBus) -> None:
    tree = bus.tree(released.trace_id)
    joined = bus.query_by_type(EventType.SESSION_JOINED)
    spans = [(event.causal_trace_id or "").split("/")[1] for event in joined]

    assert len(joined) > 5
    assert all(tree.is_ancestor(spans[0], span) for span in spans[1:])


def test_publisher_is_elevated_for_publishing(released: Release, bus: HypervisorEventBus) -> None:
    (elevated,) = bus.query_by_type(EventType.RING_ELEVATED)
    (demoted,) = bus.query_by_type(EventType.RING_DEMOTED)
    (breach,) = bus.query_by_type(EventType.RING_BREACH_DETECTED)

    assert released.problems == []
    assert (elevated.payload["from_ring"], elevated.payload["to_ring"]) == (3, 1)
    assert elevated.payload["ttl_seconds"] > 0
    assert demoted.payload["to_ring"] == 3
    assert breach.payload["attempted_tool"] == "shell_exec"
    assert {elevated.agent_did, breach.agent_did} == {"did:mesh:publisher"}


def test_release_that_does_not_fail_is_a_problem(project: Project, bus: HypervisorEventBus) -> None:
    repaired(project)
    release = Release(Recorder(bus), project, lambda _: None)

    release.run()

    assert release.problems == ["release 1.0 was to fail and did not"]


def test_compensation_that_leaves_something_is_a_problem(
    project: Project, bus: HypervisorEventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Project, "remove_archive", lambda *_: [])
    release = Release(Recorder(bus), project, lambda _: None)

    release.run()

    (problem,) = release.problems
    assert problem == "undoing release 1.0 has left dist, dist/textkit-1.0.pyz"


def test_bug_that_no_edit_repairs_is_a_problem(
    project: Project, bus: HypervisorEventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_release, "edits", lambda source: list(edits(source))[:1])
    release = Release(Recorder(bus), project, lambda _: None)

    release.run()

    assert release.problems == ["the release could not be made: no edit made the tests pass"]
    assert project.buggy.read_text(encoding="utf-8") == FILES[BUGGY]


def test_policy_that_allows_the_shell_is_a_problem(
    project: Project, bus: HypervisorEventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REQUIRED_RINGS, "shell_exec", 3)
    release = Release(Recorder(bus), project, lambda _: None)

    release.run()

    assert release.problems == ["shell_exec was to be refused and was not"]


def test_published_archive_is_withdrawn_if_it_does_not_run(
    project: Project, bus: HypervisorEventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise ToolFailed("it does not run")

    monkeypatch.setattr(Project, "run", fail)
    release = Release(Recorder(bus), project, lambda _: None)

    release.run()

    assert release.problems == ["the release could not be made: it does not run"]
    assert project.leftovers() == []


@pytest.mark.parametrize("needed", ["compile", "edit"])
def test_worker_that_is_refused_its_tool_is_a_problem(
    needed: str,
    project: Project,
    bus: HypervisorEventBus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(REQUIRED_RINGS, needed, 0)
    said: list[str] = []
    say: Callable[[str], None] = said.append
    release = Release(Recorder(bus), project, say)

    release.run()

    assert release.problems == [f"the release could not be made: {needed} takes ring 0, not ring 3"]
