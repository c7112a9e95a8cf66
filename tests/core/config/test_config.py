import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs import field, frozen
from attrs.validators import ge, le
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import Observability
from hypervisor_observability.config import (
    BusConfig,
    Config,
    DeliveryConfig,
    MetricsConfig,
    PluginTable,
    Secret,
    disabled,
    find_config,
    load_config,
    matches,
    read_config,
    structure_plugin_table,
)
from hypervisor_observability.config import lookup as config_lookup
from hypervisor_observability.errors import ConfigError, ConfigProblem
from tests.programs import run_python


@frozen
class Statsd:
    host: str = "127.0.0.1"
    port: int = field(default=8125, validator=[ge(1), le(65535)])
    token: Secret | None = None
    socket: Path | None = None


def written(folder: Path, text: str, mode: int = 0o644) -> Path:
    path = folder / "hypervisor.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def lines_of(problems: Sequence[ConfigProblem], path: Path) -> list[str]:
    return [str(problem).replace(str(path), path.name) for problem in problems]


# Reading


def test_minimal_file_gives_the_defaults(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "# nothing\n"))

    assert config == Config()
    assert (config.service, config.stop_timeout_seconds) == ("agents", 2.0)
    assert config.bus == BusConfig(max_events=100_000, max_bytes=64 * 2**20)
    assert config.delivery == DeliveryConfig(
        max_batch_events=512, interval_seconds=None, metrics_interval_seconds=10.0, events=()
    )


def test_whole_file_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        service = "checkout-agents"
        stop_timeout_seconds = 5

        [bus]
        max_events = "unbounded"
        max_bytes = 65_536

        [delivery]
        max_batch_events = "${BATCH}"
        events = ["ring.*", "!vfs.*"]

        [plugins.statsd]
        port = 9125
        socket = "run/statsd.sock"
        token = "${TOKEN}"
        interval_seconds = 1

        [plugins.console]
        """,
    )

    config = load_config(path, environ={"BATCH": "64", "TOKEN": "hunter2"})

    assert config.service == "checkout-agents"
    assert config.stop_timeout_seconds == 5.0
    assert config.bus == BusConfig(max_events=None, max_bytes=65_536)
    assert config.delivery == DeliveryConfig(max_batch_events=64, events=("ring.*", "!vfs.*"))
    assert list(config.plugins) == ["statsd", "console"]
    statsd, delivery, problems = structure_plugin_table(
        config.plugins["statsd"], Statsd, config.delivery
    )
    assert not problems
    assert statsd == Statsd(port=9125, socket=tmp_path / "run/statsd.sock", token=Secret("hunter2"))
    assert delivery == attrs.evolve(config.delivery, interval_seconds=1.0)
    assert "hunter2" not in repr(config) + repr(statsd)


def test_variables_of_the_process_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_OF_THE_TEST", "x")

    assert load_config(written(tmp_path, 'service = "${SERVICE_OF_THE_TEST}"')).service == "x"


def test_relative_path_of_the_file_still_gives_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, '[plugins.statsd]\nsocket = "s"')
    monkeypatch.chdir(tmp_path)

    table = load_config("hypervisor.toml").plugins["statsd"]

    statsd, _, _ = structure_plugin_table(table, Statsd, DeliveryConfig())
    assert statsd is not None
    assert statsd.socket == tmp_path / "s"


@pytest.mark.fault("F3")
def test_all_problems_of_file_and_tables_are_told_in_order(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """\
sevice = "x"
stop_timeout_seconds = -1
[bus]
max_events = 0
max_bytes = 1
[delivery]
interval_seconds = 0
max_batch_events = "${NONE}"
events = ["!"]
[plugins]
console = 5
[plugins.statsd]
host = 5
prot = 8125
port = 70000
max_batch_event = 1
events = "ring.*"
socket = "${NONE}"
""",
    )

    config, problems = read_config(path, environ={})
    assert config is not None
    statsd, delivery, of_table = structure_plugin_table(
        config.plugins["statsd"], Statsd, config.delivery
    )
    problems = sorted(problems + of_table, key=lambda problem: problem.line or 0)

    assert statsd is None
    assert delivery == config.delivery == DeliveryConfig()
    assert lines_of(problems, path) == [
        "hypervisor.toml:1: sevice: unknown key (did you mean 'service'?)",
        "hypervisor.toml:2: stop_timeout_seconds: expected at least 0, got -1.0",
        "hypervisor.toml:4: bus.max_events: expected at least 1, got 0",
        "hypervisor.toml:5: bus.max_bytes: expected at least 65536, got 1",
        "hypervisor.toml:7: delivery.interval_seconds: expected more than 0, got 0.0",
        "hypervisor.toml:8: delivery.max_batch_events: the environment variable NONE is not set",
        (
            "hypervisor.toml:9: delivery.events: expected a pattern such as 'ring.*' or '!vfs.*', "
            "got an empty one"
        ),
        "hypervisor.toml:11: plugins.console: expected a table, got the integer 5",
        "hypervisor.toml:13: plugins.statsd.host: expected a string, got the integer 5",
        "hypervisor.toml:14: plugins.statsd.prot: unknown key (did you mean 'port'?)",
        "hypervisor.toml:15: plugins.statsd.port: expected at most 65535, got 70000",
        (
            "hypervisor.toml:16: plugins.statsd.max_batch_event: unknown key "
            "(did you mean 'max_batch_events'?)"
        ),
        "hypervisor.toml:17: plugins.statsd.events: expected a list, got the string 'ring.*'",
        "hypervisor.toml:18: plugins.statsd.socket: the environment variable NONE is not set",
    ]


def test_unknown_label_preset_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    path = written(tmp_path, '[metrics]\nlabels = "all"\n')

    _, problems = read_config(path, environ={})

    assert lines_of(problems, path) == [
        (
            "hypervisor.toml:2: metrics.labels: expected one of 'full', 'production', "
            "got the string 'all'"
        )
    ]
    assert MetricsConfig().labels == "full"


def test_load_raises_everything_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "a = 1\nb = 2\n")

    with pytest.raises(ConfigError) as caught:
        load_config(path)

    assert str(caught.value).replace(str(path), "hypervisor.toml") == (
        "hypervisor.toml: 2 problems\n"
        "  hypervisor.toml:1: a: unknown key\n"
        "  hypervisor.toml:2: b: unknown key"
    )


@pytest.mark.fault("F7")
def test_file_whose_only_problem_is_a_missing_variable_does_not_load(tmp_path: Path) -> None:
    path = written(tmp_path, '[plugins.statsd]\nhost = "${NONE}"\n')

    with pytest.raises(ConfigError, match=r":2: plugins.statsd.host: .* NONE is not set$"):
        load_config(path, environ={})


@pytest.mark.parametrize("text", ["plugins = 5", "[[plugins]]", "bus = []", "service = ''"])
def test_wrong_shapes_of_the_file_are_told(tmp_path: Path, text: str) -> None:
    config, problems = read_config(written(tmp_path, text))

    assert config == Config()
    assert [problem.line for problem in problems] == [1]


def test_what_is_right_stands_beside_what_is_wrong(tmp_path: Path) -> None:
    path = written(tmp_path, 'service = "x"\n[bus]\nmax_events = "false"\n')

    config, problems = read_config(path)

    assert config == Config(service="x")
    (problem,) = lines_of(problems, path)
    assert problem == (
        "hypervisor.toml:3: bus.max_events: "
        "expected an integer or 'unbounded', got the string 'false'"
    )


@pytest.mark.parametrize("value", ["unbounded", "${LIMIT}"])
def test_no_bound_has_a_word(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, f'[bus]\nmax_events = "{value}"\n')

    assert load_config(path, environ={"LIMIT": "unbounded"}).bus.max_events is None


@pytest.mark.fault("F1")
def test_file_that_cannot_be_read_is_one_problem(tmp_path: Path) -> None:
    path = written(tmp_path, "a = 1\nb = \n")

    assert read_config(tmp_path / "none.toml") == (
        None,
        [ConfigProblem(str(tmp_path / "none.toml"), None, "", "no such file")],
    )
    with pytest.raises(ConfigError, match=r":2: not valid TOML: Invalid value \(column 5\)$"):
        load_config(path)


@pytest.mark.fault("F4")
def test_world_writable_file_does_not_load(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="everybody may write the file"):
        load_config(written(tmp_path, "", 0o666))


# In Python


def test_plain_dicts_are_plugin_tables() -> None:
    config = Config(service="x", plugins={"statsd": {"port": 9125}})

    statsd, delivery, problems = structure_plugin_table(
        config.plugins["statsd"], Statsd, config.delivery
    )
    assert (statsd, delivery, problems) == (Statsd(port=9125), DeliveryConfig(), [])


def test_values_of_python_are_taken_as_they_are() -> None:
    values = {"token": Secret("x"), "socket": Path("s"), "events": ("ring.*",), "host": "${X}"}

    statsd, delivery, problems = structure_plugin_table(
        PluginTable("statsd", values), Statsd, DeliveryConfig()
    )
    assert statsd == Statsd(host="${X}", token=Secret("x"), socket=Path.cwd() / "s")
    assert delivery.events == ("ring.*",)
    assert problems == []


def test_problem_of_python_has_no_line() -> None:
    table = Config(plugins={"statsd": {"port": "x"}}).plugins["statsd"]

    _, _, problems = structure_plugin_table(table, Statsd, DeliveryConfig())

    assert [str(problem) for problem in problems] == [
        "Config(...): plugins.statsd.port: expected an integer, got the string 'x'"
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: BusConfig(max_events=0),
        lambda: BusConfig(max_bytes=5),
        lambda: DeliveryConfig(max_batch_events=0),
        lambda: DeliveryConfig(interval_seconds=float("nan")),
        lambda: DeliveryConfig(events=("",)),
        lambda: DeliveryConfig(events="ring.*"),  # type: ignore[arg-type]  # what is tested
        lambda: Config(service=""),
        lambda: Config(stop_timeout_seconds=float("inf")),
    ],
)
def test_wrong_values_of_python_raise(make: Any) -> None:
    with pytest.raises(ValueError):
        make()


def test_literal_secrets_of_tables_are_not_shown() -> None:
    config = Config(plugins={"otel": {"token": "hunter2"}})

    assert "hunter2" not in repr(config) + str(config) + f"{config.plugins}"


def test_plugin_table_makes_problems_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "\n[plugins.statsd]\nport = 1\n")
    table = load_config(path).plugins["statsd"]

    assert lines_of(
        [table.problem("not installed"), table.problem("bad", "port"), table.problem("no", "x")],
        path,
    ) == [
        "hypervisor.toml:2: plugins.statsd: not installed",
        "hypervisor.toml:3: plugins.statsd.port: bad",
        "hypervisor.toml:2: plugins.statsd.x: no",
    ]


def test_plugin_may_not_have_a_field_that_delivery_takes() -> None:
    @frozen
    class Greedy:
        events: tuple[str, ...] = ()

    _, _, problems = structure_plugin_table(PluginTable("greedy"), Greedy, DeliveryConfig())

    assert [str(problem) for problem in problems] == [
        (
            "Config(...): plugins.greedy.events: "
            "the plugin's Config has a field of this name, which delivery takes"
        )
    ]


def test_config_class_that_is_none_is_told() -> None:
    config, _, problems = structure_plugin_table(PluginTable("x"), dict, DeliveryConfig())

    assert config is None
    assert "not a class that can be read" in problems[0].message


# Patterns


@pytest.mark.parametrize(
    ("patterns", "value", "passes"),
    [
        ((), "ring.assigned", True),
        (("ring.*",), "ring.assigned", True),
        (("ring.*",), "vfs.write", False),
        (("!vfs.*",), "ring.assigned", True),
        (("!vfs.*",), "vfs.write", False),
        (("vfs.*", "!vfs.read"), "vfs.write", True),
        (("vfs.*", "!vfs.read"), "vfs.read", False),
        (("!vfs.read", "vfs.*"), "vfs.read", False),
        (("*", "!*"), "vfs.read", False),
        (("RING.*",), "ring.assigned", False),
        (("ring.?", "saga.[a-m]*"), "saga.created", True),
    ],
)
def test_patterns_let_event_types_through(
    patterns: tuple[str, ...], value: str, *, passes: bool
) -> None:
    assert matches(patterns, value) is passes


NAMES = st.text(alphabet="ab.", min_size=1, max_size=4)


@given(st.lists(NAMES), NAMES)
def test_order_of_patterns_does_not_matter(names: list[str], value: str) -> None:
    patterns = tuple(f"{'!' if index % 2 else ''}{name}*" for index, name in enumerate(names))

    assert matches(patterns, value) is matches(patterns[::-1], value)


# Finding


def refusal(**arguments: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        find_config(**arguments)
    (problem,) = caught.value.problems
    return problem.message


def test_named_file_wins_over_variable_and_working_directory(tmp_path: Path) -> None:
    there = written(tmp_path, "")
    named, by_variable = tmp_path / "a.toml", tmp_path / "b.toml"
    named.touch(0o600)
    by_variable.touch(0o600)
    environ = {"HYPERVISOR_OBSERVABILITY_CONFIG": str(by_variable)}

    assert find_config(named, environ=environ, working_directory=tmp_path) == named
    assert find_config(str(named), environ=environ) == named
    assert find_config(environ=environ, working_directory=tmp_path) == by_variable
    environ["HYPERVISOR_OBSERVABILITY_CONFIG"] = ""
    assert find_config(environ=environ, working_directory=tmp_path) == there
    assert find_config(environ=environ) is None
    assert find_config(environ={}, working_directory=tmp_path / "none") is None


def test_variable_of_the_process_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERVISOR_OBSERVABILITY_CONFIG", str(written(tmp_path, "")))

    assert find_config() == tmp_path / "hypervisor.toml"


def test_found_file_is_named_without_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "")
    monkeypatch.chdir(tmp_path)

    assert str(find_config(environ={}, working_directory=Path())) == "hypervisor.toml"


@pytest.mark.fault("F1")
def test_named_file_must_exist(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.toml")

    assert refusal(explicit=missing, environ={}) == "no such file"
    assert refusal(environ={"HYPERVISOR_OBSERVABILITY_CONFIG": missing}) == "no such file"
    assert "a directory" in refusal(explicit=tmp_path, environ={})


@pytest.mark.fault("F4")
def test_world_writable_file_is_refused_wherever_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, "", 0o646)
    link = tmp_path / "link.toml"
    link.symlink_to(path)

    assert "(mode 0646)" in refusal(explicit=path, environ={})
    assert "(mode 0646)" in refusal(explicit=link, environ={})
    assert "(mode 0646)" in refusal(environ={}, working_directory=tmp_path)


@pytest.mark.fault("F4")
def test_link_is_taken_only_when_it_is_named(tmp_path: Path) -> None:
    target = tmp_path / "real.toml"
    target.touch(0o600)
    link = tmp_path / "hypervisor.toml"
    link.symlink_to(target)

    assert find_config(link, environ={}) == link
    assert refusal(environ={}, working_directory=tmp_path) == (
        "the file is a symbolic link; name it with --config if it is yours"
    )
    target.unlink()
    assert "symbolic link" in refusal(environ={}, working_directory=tmp_path)


@pytest.mark.fault("F4")
def test_file_of_another_user_is_taken_only_when_it_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    if os.geteuid() != 0:
        pytest.skip("giving a file away needs root")
    os.chown(path, 65534, 65534)

    assert find_config(path, environ={}) == path
    assert refusal(environ={}, working_directory=tmp_path) == (
        "the file belongs to another user; name it with --config if you trust it"
    )


def test_names_of_variables_are_the_documented_ones() -> None:
    assert config_lookup.FILE_NAME == "hypervisor.toml"
    assert config_lookup.FILE_VARIABLE == "HYPERVISOR_OBSERVABILITY_CONFIG"
    assert config_lookup.DISABLED_VARIABLE == "HYPERVISOR_OBSERVABILITY_DISABLED"


@pytest.mark.parametrize(
    ("value", "off"),
    [("true", True), ("TRUE ", True), ("1", False), ("false", False), ("", False), (None, False)],
)
def test_only_true_disables(value: str | None, *, off: bool) -> None:
    environ = {} if value is None else {"HYPERVISOR_OBSERVABILITY_DISABLED": value}

    assert disabled(environ) is off


def test_disabling_is_read_from_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERVISOR_OBSERVABILITY_DISABLED", "true")

    assert disabled()


def test_bad_file_is_told_in_a_process_that_reads_it(tmp_path: Path) -> None:
    written(tmp_path, "[plugins.statsd]\nport = '${PORT}'\n")
    code = "from hypervisor_observability.config import load_config; load_config('hypervisor.toml')"

    environment = {key: value for key, value in os.environ.items() if key != "PORT"}
    ended = run_python(code, cwd=tmp_path, env=environment)

    assert ended.returncode == 1
    assert (
        "ConfigError: hypervisor.toml:2: plugins.statsd.port: "
        "the environment variable PORT is not set"
    ) in ended.stderr


@pytest.mark.parametrize(
    ("table", "max_events", "bounded_memory"),
    [
        ("# nothing\n", 100_000, True),
        ("[bus]\n", 100_000, True),
        ("[bus]\nmax_events = 5_000\n", 5_000, False),
        ("[bus]\nmax_events = 100_000\n", 100_000, False),
        ('[bus]\nmax_events = "unbounded"\n', None, False),
        ("[bus]\nmax_bytes = 65_536\n", None, True),
        ('[bus]\nmax_bytes = "unbounded"\n', None, False),
        ("[bus]\nmax_bytes = 65_536\nmax_events = 50_000\n", 50_000, True),
    ],
)
def test_default_bound_of_the_log_does_not_overrule_one_that_is_given(
    tmp_path: Path, table: str, max_events: int | None, bounded_memory: bool
) -> None:
    observability = Observability.from_config(written(tmp_path, table))
    assert observability.bus.log.max_events == max_events
    assert (observability.bus.log.max_bytes is not None) == bounded_memory
