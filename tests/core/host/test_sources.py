"""Sources: a framework that is imported sooner, later or never; what goes wrong; the way back."""

import asyncio
import functools
import importlib
import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from hypervisor_observability import (
    Config,
    ConfigError,
    Observability,
    ObservabilityError,
    hookimpl,
)
from hypervisor_observability.config import PluginTable
from hypervisor_observability.host.sources.post_import import PostImport
from hypervisor_observability.sources import SourceContext, guarded
from tests.frameworks import install_acme
from tests.waiting import wait_until

MODULES = ("acme_agents", "acme_source", "acme_space", "acme_space.inside")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, with the framework and its source; neither is imported."""
    folder = tmp_path / "site"
    folder.mkdir()
    install_acme(folder)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in MODULES:
        sys.modules.pop(name, None)


def observing(**table: Any) -> Observability:
    return Observability(Config(plugins={"acme": PluginTable("acme", table)}))


def use(name: str = "a", **arguments: object) -> Any:
    """Have an agent of the framework run; give what its tool gives."""
    framework = importlib.import_module("acme_agents")
    return framework.Agent(name, lambda **given: sorted(given)).run(**arguments)


def payloads(observability: Observability) -> list[dict[str, Any]]:
    return [dict(event.payload) for event in observability.bus.query(event_type="acme.agent_used")]


def log_of_the_source() -> list[str]:
    return list(importlib.import_module("acme_source").log)


def series(observability: Observability, name: str) -> dict[Any, float]:
    full = f"agent_hypervisor_observability_{name}"
    found = [one.series for one in observability.collect_metrics() if one.name == full]
    return dict(found[0]) if found else {}


def finders() -> list[PostImport]:
    return [finder for finder in sys.meta_path if isinstance(finder, PostImport)]


@pytest.mark.usefixtures("site")
def test_framework_imported_later_is_seen() -> None:
    with observing() as observability:
        assert observability.states() == {"acme": "waiting for acme_agents"}
        assert use(city="Oslo") == ["city"]
        assert observability.states() == {"acme": "running"}
        assert series(observability, "source_up") == {("acme",): 1}
        assert len(payloads(observability)) == 1
        assert observability.plugin("acme").context.version == "1.4"


@pytest.mark.usefixtures("site")
def test_framework_imported_before_is_seen() -> None:
    importlib.import_module("acme_agents")
    with observing() as observability:
        assert observability.states() == {"acme": "running"}
        use()
        assert len(payloads(observability)) == 1


@pytest.mark.usefixtures("site")
def test_framework_that_is_never_imported_costs_nothing() -> None:
    with observing() as observability:
        assert "acme_agents" not in sys.modules
        assert series(observability, "source_up") == {}
        assert len(finders()) == 1

    assert log_of_the_source() == []
    assert observability.states() == {"acme": "stopped"}
    assert series(observability, "source_up") == {}
    assert finders() == []
    use()
    assert payloads(observability) == []


@pytest.mark.usefixtures("site")
def test_nothing_is_left_when_the_source_stops() -> None:
    framework = importlib.import_module("acme_agents")
    plain = framework.Agent.run
    observability = observing()
    with observability:
        assert framework.Agent.run is not plain

    assert framework.Agent.run is plain
    assert log_of_the_source() == ["instrument", "uninstrument"]
    assert observability.states() == {"acme": "stopped"}
    assert series(observability, "source_up") == {("acme",): 1}


class Wrapping:
    """A source that wraps a function which others wrap, too."""

    def __init__(self, name: str, target: str) -> None:
        self.name, self.targets = name, (target,)

    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        agent = importlib.import_module("acme_agents").Agent
        self.plain = agent.run
        agent.run = functools.partialmethod(agent.run)

    @hookimpl
    def uninstrument(self) -> None:
        importlib.import_module("acme_agents").Agent.run = self.plain


class WrappingToo(Wrapping):
    """Another one."""


def test_what_two_sources_have_wrapped_is_as_it_was_in_whatever_order_they_came_up(
    site: Path,
) -> None:
    (site / "acme_space.py").touch()
    plain = importlib.import_module("acme_agents").Agent.run
    sources = [Wrapping("first", "acme_space"), WrappingToo("second", "acme_agents")]
    with Observability(plugins=sources) as observability:
        importlib.import_module("acme_space")
        assert observability.states() == {"first": "running", "second": "running"}

    assert importlib.import_module("acme_agents").Agent.run is plain


@pytest.mark.usefixtures("site")
def test_callback_that_a_framework_keeps_does_nothing_once_the_source_stopped() -> None:
    with observing() as observability:
        importlib.import_module("acme_agents")
        source = observability.plugin("acme")
        kept = source.context.guarded(lambda: "called")
        assert kept() == "called"

    assert kept() is None


@pytest.mark.parametrize("version", ["2.0", "2.0rc1", "0.9", "odd"])
def test_other_version_is_left_alone_with_one_warning(
    site: Path, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    (site / "acme_agents-1.4.dist-info" / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: acme-agents\nVersion: {version}\n"
    )
    with observing() as observability:
        assert use(city="Oslo") == ["city"]
        use()
        assert series(observability, "source_up") == {("acme",): 0}
        assert observability.states() == {
            "acme": f"down: acme_agents {version} is not supported, >=1.0,<2 is"
        }

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert log_of_the_source() == []


def test_framework_without_metadata_is_asked_for_its_version(site: Path) -> None:
    for file in (site / "acme_agents-1.4.dist-info").iterdir():
        file.unlink()
    with (site / "acme_agents.py").open("a") as module:
        module.write("__version__ = '1.7'\n")

    with observing() as observability:
        use()
        assert observability.plugin("acme").context.version == "1.7"


def test_framework_that_tells_no_version_is_left_alone(site: Path) -> None:
    for file in (site / "acme_agents-1.4.dist-info").iterdir():
        file.unlink()

    with observing() as observability:
        use()
        assert observability.states()["acme"].startswith("down: the version of acme_agents is not")


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("imported_before", [True, False])
@pytest.mark.parametrize("fails", ["begin", "half"])
def test_source_that_cannot_instrument_is_down_and_takes_back_what_it_did(
    fails: str, imported_before: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if imported_before:
        importlib.import_module("acme_agents")
    with observing(fails=fails) as observability:
        assert use(city="Oslo") == ["city"]
        assert payloads(observability) == []
        assert observability.states()["acme"].startswith("down: ValueError: cannot")
        assert series(observability, "source_up") == {("acme",): 0}

    assert log_of_the_source() == ["instrument", "uninstrument"]
    assert any("source acme is down" in record.getMessage() for record in caplog.records)


@pytest.mark.usefixtures("site")
def test_uninstrument_that_raises_is_told_alone(caplog: pytest.LogCaptureFixture) -> None:
    with observing(fails="end"):
        use()

    assert any("uninstrument raised" in record.getMessage() for record in caplog.records)


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("none", {}),
        ("names", {"arguments": ["city", "year"]}),
        ("all", {"arguments": {"city": "Oslo", "year": 9}, "prompt": "use a"}),
        (None, {"arguments": ["city", "year"]}),
    ],
)
def test_content_says_what_goes_into_payloads(content: str | None, seen: dict[str, Any]) -> None:
    with observing(**({} if content is None else {"content": content})) as observability:
        use(city="Oslo", year=9)
        assert payloads(observability) == [seen]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"content": "some"}, "content"),
        ({"events": ["ring.*"]}, "a source writes events and reads none: it takes no such key"),
        ({"interval_seconds": "x"}, "it takes no such key"),
        ({"contents": "all"}, "did you mean 'content'?"),
        ({"agents": {"researcher": 7}}, "agents.researcher: expected a string"),
        ({"agents": {"researcher": ""}}, "agents: expected names and ids"),
        ({"agents": "researcher"}, "agents: expected a table"),
    ],
)
def test_table_takes_the_keys_of_a_source(table: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match="acme") as raised:
        observing(**table)

    (problem,) = raised.value.problems
    assert told in str(problem)


@pytest.mark.usefixtures("site")
def test_agent_has_the_id_that_the_table_gives_its_name() -> None:
    with observing(agents={"researcher": "did:mesh:7"}) as observability:
        use()
        context = observability.plugin("acme").context
        assert context.did_of("researcher") == "did:mesh:7"
        assert context.did_of("writer") == "writer"
        assert context.did_of(7) == "7"


def test_source_that_a_caller_made_has_its_keys_as_attributes() -> None:
    class Chosen(Keeping):
        content = "all"
        agents: Any = MappingProxyType({"researcher": "did:mesh:7"})

    with Observability(plugins=[source := Chosen()]):
        assert source.context.content == "all"
        assert source.context.did_of("researcher") == "did:mesh:7"
    Chosen.agents = ["researcher"]
    with pytest.raises(ValueError, match="agents: expected a table of ids by name"):
        Observability(plugins=[Chosen()])


@pytest.mark.usefixtures("site")
def test_source_learns_what_another_one_observes() -> None:
    class Watched(Keeping):
        targets = ("acme_agents",)

    with Observability(plugins=[own := Keeping()]):
        seen = own.context.observed_elsewhere
        assert not seen("acme_agents")
        with observing():  # of whatever Observability
            assert not seen("acme_agents")  # it only waits
            use()
            assert seen("acme_agents")
            assert seen("acme_agents.inside")
            assert not seen("acme_agents_too")
            assert not seen("acme")
        assert not seen("acme_agents")
    with Observability(plugins=[one := Watched()]):
        assert not one.context.observed_elsewhere("acme_agents")  # itself


@pytest.mark.usefixtures("site")
def test_callback_that_raises_reaches_no_application(caplog: pytest.LogCaptureFixture) -> None:
    with observing() as observability:
        for _ in range(5):
            assert use("odd", city="Oslo") == ["city"]
        assert series(observability, "source_errors_total") == {("acme",): 5}
        assert observability.status()["sources"] == {"acme": {"state": "running", "errors": 5}}

    assert len([one for one in caplog.records if "used raised" in one.getMessage()]) == 1


@pytest.mark.usefixtures("site")
def test_framework_is_instrumented_by_one_observability_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with observing() as first, observing() as second:
        use()
        assert first.states() == {"acme": "running"}
        assert second.states()["acme"].startswith("down: this source is on already")
        assert (len(payloads(first)), len(payloads(second))) == (1, 0)
        assert series(second, "source_up") == {("acme",): 0}
    with observing() as third:
        use()
        assert len(payloads(third)) == 1

    assert log_of_the_source() == ["instrument", "uninstrument"] * 2
    assert len([one for one in caplog.records if "is down" in one.getMessage()]) == 1


@pytest.mark.usefixtures("site")
def test_disabled_observability_instruments_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERVISOR_OBSERVABILITY_DISABLED", "true")
    with observing() as observability:
        use()
        assert observability.states() == {}
    assert finders() == []


@pytest.mark.usefixtures("site")
def test_child_of_a_fork_goes_on() -> None:
    with observing() as observability:
        use()
        child = os.fork()
        if child == 0:  # coverage of the child is not counted: it ends at once
            use()
            os._exit(0 if len(payloads(observability)) == 1 else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.usefixtures("site")
def test_framework_that_another_thread_imports_is_instrumented_before_its_use() -> None:
    used = []
    with observing() as observability:
        threads = [threading.Thread(target=lambda: used.append(use())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(used) == 8
        assert len(payloads(observability)) == 8


def test_framework_that_is_being_imported_is_waited_for(site: Path) -> None:
    path = site / "acme_agents.py"
    held = "import threading\nbegun, go = threading.Event(), threading.Event()\n"
    path.write_text(f"{held}begun.set()\ngo.wait(30)\n{path.read_text()}")
    importing = threading.Thread(target=lambda: importlib.import_module("acme_agents"))
    importing.start()
    wait_until(lambda: getattr(sys.modules.get("acme_agents"), "begun", None))
    half = sys.modules["acme_agents"]
    half.begun.wait(30)
    threading.Timer(0.2, half.go.set).start()

    with observing() as observability:
        importing.join(30)
        use()
        assert len(payloads(observability)) == 1


@pytest.mark.usefixtures("site")
def test_source_starts_and_stops_with_an_asynchronous_observability() -> None:
    plain = importlib.import_module("acme_agents").Agent.run

    async def main() -> int:
        async with observing() as observability:
            use()
            return len(payloads(observability))

    assert asyncio.run(main()) == 1
    assert importlib.import_module("acme_agents").Agent.run is plain


# What a source may be


class Keeping:
    """Has no targets; keeps what it is given."""

    name = "keeping"
    context: SourceContext

    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        self.context = context

    @hookimpl
    def uninstrument(self) -> None:
        """Nothing was done."""


@pytest.mark.usefixtures("site")
def test_framework_of_a_version_that_nobody_knows_is_observed_by_nobody() -> None:
    class Two(Keeping):
        targets = ("acme_agents", "acme_source")
        supports: Any = {"acme_source": ">=7"}  # noqa: RUF012 - as an author writes it
        each_target = True

    with Observability(plugins=[Two()]), Observability(plugins=[own := Keeping()]):
        use()
        importlib.import_module("acme_source")
        assert own.context.observed_elsewhere("acme_agents")
        assert not own.context.observed_elsewhere("acme_source")


@pytest.mark.parametrize(
    ("supports", "state"),
    [
        ({"acme_agents": ">=1.0,<2"}, "running"),
        ({"acme_space": ">=7"}, "running"),
        ({}, "running"),
        ({"acme_agents": ">=7"}, "down: acme_agents 1.4 is not supported, >=7 is"),
    ],
)
@pytest.mark.usefixtures("site")
def test_each_target_may_have_versions_of_its_own(supports: dict[str, str], state: str) -> None:
    class Two(Keeping):
        targets = ("acme_agents", "acme_space")

    Two.supports = supports  # type: ignore[attr-defined]  # as an author's class has it
    with Observability(plugins=[Two()]) as observability:
        use()
        assert observability.states() == {"keeping": state}


@pytest.mark.usefixtures("site")
def test_framework_may_come_from_one_of_several_distributions() -> None:
    class Either(Keeping):
        supports = ">=1.0,<2"
        distribution = ("acme-agents-next", "acme-agents")

    with Observability(plugins=[Either()]) as observability:
        use()
        assert observability.states() == {"keeping": "running"}
    Either.supports = ">=7"
    with Observability(plugins=[Either()]) as observability:
        assert observability.states() == {
            "keeping": "down: acme-agents 1.4 is not supported, >=7 is"
        }
    Either.distribution = ("acme-1", "acme-2")
    with Observability(plugins=[Either()]) as observability:
        told = "down: the version of acme-1 or acme-2 is not known, >=7 is"
        assert observability.states() == {"keeping": told}


class Bare:
    name = "bare"

    @hookimpl
    def instrument(self, context: Any) -> None:
        self.context = context

    @hookimpl
    def uninstrument(self) -> None:
        pass


def changed(**attributes: object) -> Any:
    return type("Changed", (Bare,), attributes)()


def test_source_without_targets_is_instrumented_at_once() -> None:
    with Observability(plugins=[source := Bare()]) as observability:
        assert observability.states() == {"bare": "running"}
        assert (source.context.target, source.context.content) == ("", "names")
        assert source.context.service == "agents"


def test_source_that_a_caller_has_made_says_itself_what_goes_into_payloads() -> None:
    with Observability(plugins=[source := changed(content="all")]):
        assert source.context.content == "all"
    with pytest.raises(ValueError, match="content"):
        Observability(plugins=[changed(content="some")])


@hookimpl
def _hook(_: object) -> None:
    pass


def _plain(_: object, context: object) -> None:
    pass


@hookimpl
async def _coroutine(_: object) -> None:
    pass


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"targets": "acme"}, "targets: expected a tuple"),
        ({"targets": ("acme agents",)}, "targets: expected names of modules"),
        ({"targets": ("acme",), "supports": "1.0"}, "supports: expected a range"),
        ({"targets": ("acme",), "supports": 1}, "supports: expected a range"),
        ({"supports": ">=1"}, "supports: of what is not said"),
        ({"distribution": 1, "targets": ("acme",)}, "distribution: expected a name"),
        ({"start": _hook}, "a source writes events, and nobody calls its hook start"),
        ({"open_store": _hook}, "a store keeps events, and nobody calls its hook instrument"),
        ({"uninstrument": _coroutine}, "coroutine function"),
        ({"targets": ("acme",), "instrument": _plain}, "instrument is not marked"),
    ],
)
def test_source_that_makes_no_sense_is_a_mistake(attributes: dict[str, Any], told: str) -> None:
    with pytest.raises((ValueError, ObservabilityError), match=told):
        Observability(plugins=[changed(**attributes)])


def test_plugin_that_only_uninstruments_is_a_mistake() -> None:
    class Ending:
        @hookimpl
        def uninstrument(self) -> None:
            pass

    with pytest.raises(ConfigError, match="a source has the hook instrument"):
        Observability(plugins=[Ending()])


def test_uninstrument_that_hangs_does_not_hold_up_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = threading.Event()

    class Hanging(Bare):
        @hookimpl
        def uninstrument(self) -> None:
            release.wait(60)

    observability = Observability(plugins=[Hanging()]).start()
    try:
        assert not observability.stop(timeout=0.2)
    finally:
        release.set()
    assert any("not uninstrumented in time: bare" in one.getMessage() for one in caplog.records)


# Watching imports


def watch(*names: str) -> tuple[PostImport, list[str]]:
    watching, seen = PostImport(), list[str]()
    for name in names:
        watching.when_imported(name, seen.append)
    return watching, seen


def test_loader_of_a_watched_module_is_its_own(site: Path) -> None:
    _, seen = watch("acme_agents")
    module = importlib.import_module("acme_agents")

    assert seen == ["acme_agents"]
    assert type(module.__loader__).__name__ == "SourceFileLoader"
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__
    assert module.__file__ == str(site / "acme_agents.py")
    assert finders() == []


def test_namespace_package_is_watched(site: Path) -> None:
    (site / "acme_space").mkdir()
    (site / "acme_space" / "inside.py").write_text("")
    _, seen = watch("acme_space", "acme_space.inside")
    importlib.import_module("acme_space.inside")
    space = sys.modules["acme_space"]

    assert seen == ["acme_space", "acme_space.inside"]
    assert type(space.__loader__).__name__ == "NamespaceLoader"
    assert list(space.__path__) == [str(site / "acme_space")]
    assert space.__file__ is None


def test_import_that_fails_is_told_as_without_us_and_seen_when_it_works(site: Path) -> None:
    _, seen = watch("acme_agents")
    good = (site / "acme_agents.py").read_text()
    (site / "acme_agents.py").write_text("raise ValueError('not today')")
    with pytest.raises(ValueError, match="not today"):
        importlib.import_module("acme_agents")
    assert seen == []

    (site / "acme_agents.py").write_text(good)
    importlib.invalidate_caches()
    importlib.import_module("acme_agents")
    assert seen == ["acme_agents"]


@pytest.mark.usefixtures("site")
def test_looking_for_a_module_is_not_importing_it() -> None:
    watching, seen = watch("acme_agents", "acme_absent")
    spec = importlib.util.find_spec("acme_agents")

    assert spec is not None
    assert spec.loader is not None
    assert spec.loader.get_source("acme_agents")  # type: ignore[attr-defined]  # of the real one
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert importlib.util.find_spec("acme_absent") is None
    assert seen == []
    watching.forget("acme_agents", seen.append)
    watching.forget("acme_absent", seen.append)
    assert finders() == []


@pytest.mark.usefixtures("site")
def test_two_that_watch_a_module_are_both_called() -> None:
    _, first = watch("acme_agents")
    _, second = watch("acme_agents")
    importlib.import_module("acme_agents")

    assert (first, second) == (["acme_agents"], ["acme_agents"])


# Callbacks


def test_guarded_keeps_exceptions_and_lets_the_applications_own_pass() -> None:
    failures: list[tuple[str, BaseException]] = []

    def failed(name: str, error: BaseException) -> None:
        failures.append((name, error))

    def fail(error: BaseException) -> None:
        raise error

    guard = guarded(fail, failed=failed)
    assert guard(ValueError("x")) is None
    assert guard(SystemExit(1)) is None
    for passing in (KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()):
        with pytest.raises(type(passing)):
            guard(passing)
    assert [type(error) for _, error in failures] == [ValueError, SystemExit]
    assert failures[0][0].endswith("fail")


def test_guarded_coroutine_function_stays_one() -> None:
    failures: list[str] = []

    async def answer(value: int) -> int:
        await asyncio.sleep(0)
        return 10 // value

    guard: Callable[[int], Any] = guarded(answer, failed=lambda name, _: failures.append(name))

    async def both() -> tuple[Any, Any]:
        return await guard(5), await guard(0)

    assert inspect.iscoroutinefunction(guard)
    assert asyncio.run(both()) == (2, None)
    assert len(failures) == 1


def test_object_with_a_coroutine_for_a_call_is_guarded_as_one() -> None:
    class Failing:
        async def __call__(self) -> None:
            raise ValueError("x")

    failures: list[str] = []
    guard: Callable[[], Any] = guarded(Failing(), failed=lambda name, _: failures.append(name))

    assert asyncio.run(guard()) is None
    assert len(failures) == 1


def test_generator_cannot_be_guarded() -> None:
    def give() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match="generator function"):
        guarded(give, failed=lambda *_: None)


def test_alarm_that_strikes_in_a_callback_reaches_the_application() -> None:
    def strike(_number: int, _frame: object) -> None:
        raise TimeoutError("of the application")

    before = signal.signal(signal.SIGALRM, strike)
    try:
        guard = guarded(lambda: signal.raise_signal(signal.SIGALRM), failed=lambda *_: None)
        with pytest.raises(TimeoutError, match="of the application"):
            guard()
    finally:
        signal.signal(signal.SIGALRM, before)
