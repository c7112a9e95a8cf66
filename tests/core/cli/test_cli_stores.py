"""Commands ask the store that the configuration names, whoever wrote it."""

import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from hypervisor_observability.config import PluginTable
from hypervisor_observability.host import discovery
from hypervisor_observability.host.kinds import READER, kind_of_class
from hypervisor_observability.host.loading import SHIPPED_KINDS
from hypervisor_observability.host.plugins import SHIPPED, load_class
from tests.commands import run_hvobs
from tests.configurations import write_config
from tests.plugins.journal.journals import write_two_runs

pytestmark = pytest.mark.usefixtures("elsewhere")
Install = Callable[..., None]

# Two runs of two processes, in memory: all that a store needs for who asks.
SOURCE = """
from attrs import define, field, frozen

from hypervisor_observability import EventType, HypervisorEvent, hookimpl
from hypervisor_observability.errors import NoHistoryError, SettingError
from hypervisor_observability.stores import EVERYTHING, Entry

KINDS = (EventType.VFS_WRITE, EventType.AGENT_KILLED)
ENTRIES = [
    Entry(f"run-{number % 2}", number // 2, HypervisorEvent(
        event_type=KINDS[number == 3], timestamp=1000.0 + number, agent_did="did:mesh:a",
        causal_trace_id="a1b2c3d4e5f6/01234567", payload={"number": number}))
    for number in range(4)
]
CLOSED = []


@define
class History:
    config: object
    context: object
    place = "the memory of a test"

    def runs(self):
        return ["run-0", "run-1"]

    def events(self, wanted=EVERYTHING, *, runs=None, limit=None, newest_first=False):
        for damage in self.config.damages:
            self.context.notice(damage)
        found = [one for one in ENTRIES if wanted.covers(one.event)]
        found = [one for one in found if runs is None or one.run in runs]
        found = found if limit is None else found[len(found) - min(limit, len(found)):]
        return iter(found[::-1] if newest_first else found)

    def follow(self):
        return Follower(self)

    def close(self):
        CLOSED.append(self)
        self.context.remark(f"closed, indexed: {self.context.indexed}")


@define
class Follower:
    history: object
    looks: int = 0

    def newest(self, wanted, count):
        return list(self.history.events(wanted, limit=count))

    def news(self):
        self.looks += 1
        if self.looks > 1:
            raise KeyboardInterrupt
        yield Entry("run-2", 0, HypervisorEvent(event_type=KINDS[0], payload={"number": 9}))
        yield Entry("run-2", 1, HypervisorEvent(event_type=KINDS[1], payload={"number": 10}))


@frozen
class Config:
    damages: tuple[str, ...] = ()
    empty: bool = False
    host: str = "here"


@define(eq=False)
class Plugin:
    config: Config
    Config = Config

    @hookimpl
    def open_history(self, context):
        if self.config.host == "":
            raise SettingError("host", "expected the name of a host")
        if self.config.empty and not context.may_be_empty:
            raise NoHistoryError("nothing was recorded in the memory of a test")
        return History(self.config, context)
"""

SINK = """
from attrs import define, frozen

from hypervisor_observability import hookimpl


@frozen
class Config:
    pass


@define(eq=False)
class Plugin:
    config: Config
    Config = Config

    @hookimpl
    def export_events(self, events):
        with open("sink", "a") as file:
            for event in events:
                print(event.payload["number"], file=file)
"""
DELIVERED = "sink: delivered {0} of {0}\nmetrics: delivered {0} of {0}\n"
TRIPWIRE = "raise RuntimeError('was imported')"


@pytest.fixture
def store(elsewhere: None, install: Install) -> Path:
    """A configuration with a store of somebody else."""
    install("memory", SOURCE)
    return write_config("[plugins.memory]\n")


def numbers(result: Result) -> list[int]:
    return [json.loads(line)["payload"]["number"] for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ((), [0, 1, 2, 3]),
        (("--limit", 3), [1, 2, 3]),
        (("--type", "security.agent_killed"), [3]),
        (("--trace", "a1b2c3d4e5f6", "--limit", 1), [3]),
        (("--agent", "did:mesh:b"), []),
    ],
)
def test_query_asks_it(filters: tuple[object, ...], expected: list[int]) -> None:
    result = run_hvobs("query", "--json", *filters)

    assert result.exit_code == 0, result.stderr
    assert numbers(result) == expected


@pytest.mark.usefixtures("store")
def test_query_tells_the_place_of_each_event() -> None:
    lines = [json.loads(line) for line in run_hvobs("query", "--json").stdout.splitlines()]

    assert [(line["run"], line["sequence"]) for line in lines] == [
        ("run-0", 0), ("run-1", 0), ("run-0", 1), ("run-1", 1),
    ]  # fmt: skip


@pytest.mark.usefixtures("store")
def test_tail_follows_it() -> None:
    result = run_hvobs("tail", "--json", "--lines", 1)
    killed = run_hvobs("tail", "--json", "--type", "security.agent_killed")

    assert (result.exit_code, numbers(result)) == (130, [3, 9, 10])
    assert (killed.exit_code, numbers(killed)) == (130, [3, 10])


@pytest.mark.usefixtures("store")
def test_tree_is_drawn_from_it() -> None:
    drawn = run_hvobs("tree")
    told = json.loads(run_hvobs("tree", "--json").stdout)

    assert drawn.exit_code == 0
    assert "did:mesh:a" in drawn.stdout
    assert (told["events"], len(told["traces"])) == (4, 1)


@pytest.mark.usefixtures("store")
def test_report_says_what_was_asked() -> None:
    assert "the memory of a test" in run_hvobs("report").stdout


def test_replay_gives_what_it_holds_to_the_other_plugins(store: Path, install: Install) -> None:
    install("sink", SINK)
    write_config("[plugins.memory]\n[plugins.sink]\n", store)

    whole = run_hvobs("replay")
    part = run_hvobs("replay", "--run", "-1")

    assert (whole.exit_code, whole.stdout) == (0, DELIVERED.format(4)), whole.stderr
    assert (part.exit_code, part.stdout) == (0, DELIVERED.format(2)), part.stderr
    assert Path("sink").read_text().split() == ["0", "1", "2", "3", "1", "3"]
    assert "2 runs are called 'run'" in run_hvobs("replay", "--run", "run").stderr
    assert "0 runs are called 'x'" in run_hvobs("replay", "--run", "x").stderr


@pytest.mark.parametrize("command", ["query", "report", "tree", "replay"])
def test_what_it_cannot_read_is_told(command: str, store: Path) -> None:
    write_config('[plugins.memory]\ndamages = ["cannot be read: block 7"]\n', store)

    result = run_hvobs(command)

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "cannot be read: block 7"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("command", ["query", "report", "tree"])
def test_what_it_remarks_is_told_and_no_failure(command: str) -> None:
    plain, unindexed = run_hvobs(command), run_hvobs(command, "--no-index")

    assert (plain.exit_code, plain.stderr) == (0, "closed, indexed: True\n")
    assert (unindexed.exit_code, unindexed.stderr) == (0, "closed, indexed: False\n")


def test_store_is_closed_when_a_command_fails(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_hvobs("query", "--config", store).exit_code == 0
    module = sys.modules["acme_memory"]

    def fail(*_: object, **__: object) -> object:
        raise OSError(5, "Input/output error", "block 7")

    monkeypatch.setattr(module.History, "events", fail)
    module.CLOSED.clear()
    result = run_hvobs("query")

    assert result.exit_code == 1
    assert "block 7" in result.stderr
    assert len(module.CLOSED) == 1


@pytest.mark.parametrize("command", ["query", "report", "tree", "replay"])
def test_store_without_a_past_says_where_it_looked(command: str, store: Path) -> None:
    write_config("[plugins.memory]\nempty = true\n", store)

    result = run_hvobs(command)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "nothing was recorded in the memory of a test" in result.stderr
    assert run_hvobs("tail", "--json").exit_code == 130  # its past is still to come


def test_value_that_only_the_store_can_refuse_is_told_with_its_place(store: Path) -> None:
    write_config('[plugins.memory]\nhost = ""\n', store)

    result = run_hvobs("query")

    assert result.exit_code == 2
    assert result.stderr == (
        "hypervisor.toml:2: plugins.memory.host: expected the name of a host\n"
    )


def test_what_else_is_wrong_in_the_file_does_not_matter(store: Path, install: Install) -> None:
    install("broken", TRIPWIRE)
    write_config(
        "servce = 1\n[plugins.broken]\n[plugins.gone]\n[plugins.statsd]\nprot = 1\n"
        "[plugins.memory]\n",
        store,
    )

    assert numbers(run_hvobs("query", "--json")) == [0, 1, 2, 3]


def test_own_plugins_that_keep_nothing_are_not_imported(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config("[plugins.statsd]\n[plugins.otel]\n[plugins.memory]\n", store)
    imported = []
    load = importlib.metadata.EntryPoint.load

    def noted(self: importlib.metadata.EntryPoint) -> object:
        imported.append(self.name)
        return load(self)

    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", noted)

    assert run_hvobs("query").exit_code == 0
    assert set(imported) == {"memory"}


def test_what_is_wrong_in_its_own_table_is_told(store: Path) -> None:
    write_config("servce = 1\n[plugins.memory]\nemty = true\n", store)

    result = run_hvobs("query")

    assert result.exit_code == 2
    assert result.stderr == (
        "hypervisor.toml:3: plugins.memory.emty: unknown key (did you mean 'empty'?)\n"
    )


@pytest.mark.parametrize("second", ["other", "journal"])
def test_two_stores_are_refused(second: str, store: Path, install: Install) -> None:
    if second == "other":
        install("other", SOURCE)
    write_config(f"[plugins.memory]\n[plugins.{second}]\ndirectory = 'j'\n", store)

    result = run_hvobs("query")

    assert result.exit_code == 2
    assert "plugins.memory: there are two stores, memory and " in result.stderr
    assert f"plugins.{second}: there are two stores" in result.stderr


def test_journal_that_a_command_is_given_takes_the_place_of_the_configurations_store() -> None:
    write_config("[plugins.memory\n")  # it is not even read

    result = run_hvobs("query", "--journal", "gone")

    assert result.exit_code == 2
    assert f"there is no journal in {Path.cwd() / 'gone'}" in result.stderr


@pytest.mark.parametrize("table", ["", "[plugins.memory]\nhost = 'there'\n", None])
@pytest.mark.parametrize("command", ["query", "tail", "tree", "traces", "report"])
def test_store_that_a_command_is_given_takes_the_place_of_the_configurations(
    command: str, table: str | None, install: Install
) -> None:
    """With its own table, or with its defaults where it has none, or there is no file."""
    install("memory", SOURCE)
    if table is not None:
        write_config(f"[plugins.journal]\ndirectory = 'gone'\n{table}")

    result = run_hvobs(command, "--store", "memory")

    assert result.exit_code == (130 if command == "tail" else 0), result.stderr
    assert result.stdout


def test_replay_gives_what_another_store_holds(store: Path, install: Install) -> None:
    install("sink", SINK)
    write_config("[plugins.journal]\ndirectory = 'gone'\n[plugins.sink]\n", store)

    whole = run_hvobs("replay", "--store", "memory")

    assert (whole.exit_code, whole.stdout) == (0, DELIVERED.format(4)), whole.stderr


def test_value_of_the_table_that_a_command_names_is_refused_with_its_place(store: Path) -> None:
    write_config('[plugins.journal]\ndirectory = "j"\n[plugins.memory]\nhost = ""\n', store)

    result = run_hvobs("query", "--store", "memory")

    assert result.exit_code == 2
    assert result.stderr == (
        "hypervisor.toml:4: plugins.memory.host: expected the name of a host\n"
    )


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("command", ["query", "agent"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("memry", "plugins.memry: no such plugin is installed (did you mean 'memory'?)"),
        ("sink", "sink is a reader, not a store: name one that keeps events"),
    ],
)
def test_name_of_no_store_is_refused(name: str, says: str, command: str, install: Install) -> None:
    install("sink", SINK)

    result = run_hvobs(command, "--store", name)

    assert (result.exit_code, result.stdout) == (2, "")
    assert says in " ".join(result.stderr.split())


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("command", ["query", "tree", "replay", "agent"])
def test_two_stores_that_a_command_is_given_are_refused(command: str) -> None:
    result = run_hvobs(command, "--store", "memory", "--journal", "j")

    assert result.exit_code == 2
    assert "name a journal with --journal or a store with --store, not both" in result.stderr


@pytest.mark.usefixtures("store")
def test_agent_says_that_the_store_it_is_given_cannot_be_followed(install: Install) -> None:
    install("sink", SINK)
    write_config("[plugins.journal]\ndirectory = 'j'\n[plugins.sink]\n")

    result = run_hvobs("agent", "--once", "--from", "memory")

    assert result.exit_code == 2
    assert "this store cannot be followed: it has no hook follow_store" in result.stderr


def test_agent_follows_the_store_that_it_is_given(store: Path, install: Install) -> None:
    """The journal's table is beside that of another store, which is on."""
    install("sink", SINK)
    write_two_runs(store.parent / "journal")
    write_config(
        "[plugins.memory]\n[plugins.sink]\n[plugins.journal]\ndirectory = 'journal'\n", store
    )

    result = run_hvobs("agent", "--once", "--from", "journal")

    assert result.exit_code == 0, result.stderr
    assert "sink: delivered" in result.stdout
    assert run_hvobs("agent", "--once").exit_code == 2  # two stores


def test_store_that_cannot_be_asked_says_so(store: Path, install: Install) -> None:
    install("mute", SOURCE.replace("def open_history(", "def follow_store("))
    write_config("[plugins.mute]\n", store)

    result = run_hvobs("query")

    assert result.exit_code == 2
    assert result.stderr == (
        "hypervisor.toml:1: plugins.mute: this store cannot be asked for what it has recorded\n"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[plugins.statsd]\n", "turns on no store: add a table such as [plugins.journal]"),
        ("[plugins.memroy]\n", "plugins.memroy: no such plugin is installed"),
        ("[journal]\ndirectory = 'j'\n", "[plugins.journal]"),
        ("[plugins\n", "not valid TOML"),
    ],
)
def test_configuration_without_a_store_is_told_with_what_may_be_why(text: str, told: str) -> None:
    write_config(text)

    result = run_hvobs("query")

    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_agent_follows_the_journal_that_it_is_given_in_place_of_the_configurations_store(
    store: Path, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    file = write_config(store.read_text(), away / "hvobs.toml")
    Path("j").mkdir()

    result = run_hvobs("agent", "--once", "--config", file, "--journal", "j")

    # The directory starts where the command was called, not at the file.
    assert result.exit_code == 1, result.stderr  # nothing is recorded there
    assert f"reading {Path.cwd() / 'j'}, " in result.stderr


def test_replay_of_a_journal_needs_nothing_of_the_configurations_store(
    store: Path, install: Install
) -> None:
    install("sink", SINK)
    write_config("[plugins.memory]\nemty = 1\n[plugins.journal]\n[plugins.sink]\n", store)
    write_two_runs(Path("j"))

    result = run_hvobs("replay", "--journal", "j")

    assert (result.exit_code, result.stdout) == (0, DELIVERED.format(5)), result.stderr


@pytest.mark.parametrize("name", SHIPPED)
def test_kinds_of_own_plugins_are_known_without_an_import(name: str) -> None:
    plugin_class, problems = load_class(PluginTable(name), discovery.installed_plugins())

    assert problems == []
    assert kind_of_class(plugin_class) is SHIPPED_KINDS.get(name, READER)


@pytest.fixture
def no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the distribution of the journal not installed."""

    def others() -> Iterator[importlib.metadata.Distribution]:
        for distribution in importlib.metadata.distributions():
            if discovery.canonical(str(distribution.metadata["Name"])) != "hypervisor-journal":
                yield distribution

    monkeypatch.setattr(discovery, "distributions", others)


@pytest.mark.usefixtures("no_journal")
@pytest.mark.parametrize(
    "words",
    [
        ("query", "--journal", "j"),
        ("tail", "--journal", "j"),
        ("tree", "--journal", "j"),
        ("report", "--journal", "j"),
        ("query",),
        ("replay",),
        ("journal", "verify", "--journal", "j"),
    ],
)
def test_journal_that_is_not_installed_says_where_it_comes_from(words: tuple[str, ...]) -> None:
    write_config("[plugins.journal]\ndirectory = 'j'\n")

    result = run_hvobs(*words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "this plugin is not installed: it comes with hypervisor-journal" in result.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [("verify", "journal verify"), ("erase", "journal erase"), ("journal-key", "journal key")],
)
def test_command_that_has_moved_says_where_it_stands(old: str, new: str) -> None:
    result = run_hvobs(old, "--journal", "j")

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"(did you mean 'hvobs {new}'?)" in result.stderr


GIVES = "return History(self.config, context)"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("return", "open_history gave nothing: expected an object with the methods of History"),
        ("return 42", "open_history gave an object of type int, which lacks"),
        ("return History", "open_history gave the class History: expected an object"),
        ("return Follower(None)", "open_history gave an object of type Follower, which lacks"),
    ],
)
@pytest.mark.usefixtures("elsewhere")
def test_what_is_no_history_is_named(install: Install, given: str, told: str) -> None:
    install("memory", SOURCE.replace(GIVES, given))
    write_config("[plugins.memory]\n")
    result = run_hvobs("query")

    assert result.exit_code == 2
    assert f"hypervisor.toml:1: plugins.memory: {told}" in result.stderr


@pytest.mark.parametrize("error", ["RuntimeError", "SystemExit", "BaseException", "OSError"])
@pytest.mark.parametrize("where", ["open", "events", "runs", "close"])
@pytest.mark.usefixtures("elsewhere")
def test_command_says_in_a_line_what_a_history_raises(
    install: Install, error: str, where: str
) -> None:
    raises = f"raise {error}('of the store')"
    source = {
        "open": SOURCE.replace(GIVES, raises),
        "events": SOURCE.replace(
            "        for damage in self.config",
            f"        {raises}\n        for damage in self.config",
        ),
        "runs": SOURCE.replace('return ["run-0", "run-1"]', raises),
        "close": SOURCE.replace("CLOSED.append(self)", raises),
    }[where]
    install("memory", source)
    write_config("[plugins.memory]\n")
    result = run_hvobs("replay", "--run", "run-0")

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert "of the store" in line
