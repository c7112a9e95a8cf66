"""``hvobs doctor``: what is installed, who owns the alias, and what does not fit."""

import json
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

import hypervisor_observability
from hypervisor_observability.cli import alias_owner, doctor
from hypervisor_observability.cli.alias_owner import AliasOwner, find_alias_owner
from hypervisor_observability.cli.requirements import fits, misfits
from tests.commands import run_hvobs
from tests.configurations import write_config
from tests.distributions import plugins_of, write_distribution

OURS = "hypervisor-observability"
MISSING = "no_such_module:Plugin"
Distribute = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def distribute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distribute:
    """Put a distribution on the path: its files, and what else its metadata hold."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def put(
        name: str,
        *files: str,
        plugins: str = "",
        version: str = "1.2",
        requires: str = "",
        **metadata: str,
    ) -> Path:
        for file in files:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).write_text("raise RuntimeError('was imported')")
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        info = write_distribution(site, name, plugins, version=version, more=needs)
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        for file, text in metadata.items():
            (info / file.replace("_json", ".json")).write_text(text)
        return site

    return put


def call(*arguments: str) -> Result:
    return run_hvobs("doctor", *arguments)


def examined(*arguments: str) -> dict[str, Any]:
    done = call(*arguments, "--json")
    assert done.stdout.isascii()
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == (0 if told["healthy"] else 1)
    return told


def test_healthy_installation_is_told_in_lines() -> None:
    done = call()

    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Python    CPython 3.")
    assert f"{OURS} {hypervisor_observability.__version__}, attrs 2" in done.stdout
    assert "Alias     hypervisor.observability belongs to" in done.stdout
    assert "Config    none" in done.stdout
    assert done.stdout.endswith("no problems found\n")


def test_healthy_installation_is_told_as_json() -> None:
    told = examined()

    assert told["healthy"]
    assert told["problems"] == []
    assert told["config"] == {"file": None, "problems": []}
    assert set(told["packages"]) == {OURS, "attrs", "cattrs", "pluggy", "click"}
    assert set(told["optional"]) == {"msgspec", "genai-prices"}
    assert told["python"]["executable"] == sys.executable


def test_alias_is_ours_where_we_are_alone() -> None:
    told = examined()

    assert told["alias"]["name"] == "hypervisor.observability"
    assert told["alias"]["owner"] == OURS
    assert told["alias"]["file"].endswith(str(Path("hypervisor", "observability.py")))


def test_alias_belongs_to_the_package_that_hides_ours(distribute: Distribute) -> None:
    files = ["hypervisor/__init__.py", "hypervisor/observability/__init__.py"]
    site = distribute("Agent_Hypervisor", *files)  # as its metadata may write it

    told = examined()

    assert told["alias"]["owner"] == "agent-hypervisor"
    assert told["alias"]["file"] == str(site / files[1])
    assert told["healthy"]
    assert any("gives the code of agent-hypervisor" in note for note in told["notes"])
    assert "was imported" not in call().output


def test_alias_of_an_editable_installation_belongs_to_it(
    distribute: Distribute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "their project" / "src"
    file = source / "hypervisor" / "observability.py"
    file.parent.mkdir(parents=True)
    file.touch()
    (source / "hypervisor" / "__init__.py").touch()

    def recorded(folder: Path, **more: object) -> str:
        return json.dumps({"url": folder.as_uri(), "dir_info": {"editable": True}, **more})

    distribute("around", direct_url_json=recorded(tmp_path))
    distribute("theirs", direct_url_json=recorded(source.parent))
    distribute("copied", direct_url_json=recorded(source.parent, dir_info={}))
    distribute("fetched", direct_url_json=recorded(tmp_path, url="https://host/x.git"))
    distribute("torn", direct_url_json="{")
    distribute("odd", direct_url_json="[1]")
    monkeypatch.syspath_prepend(str(source))

    assert find_alias_owner() == AliasOwner("theirs", file)


def test_alias_that_no_distribution_brought_has_no_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "loose" / "hypervisor"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "observability.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))

    assert find_alias_owner() == AliasOwner(None, package / "observability.py")
    assert "belongs to nobody known" in call().stdout
    assert any("an unknown distribution" in note for note in examined()["notes"])


def test_alias_in_a_checkout_on_the_path_is_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(alias_owner, "distributions", list)
    package = tmp_path / "src" / "hypervisor_observability"
    alias = tmp_path / "src" / "hypervisor" / "observability.py"
    for file in (package / "__init__.py", alias, alias.with_name("__init__.py")):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.setattr(hypervisor_observability, "__file__", str(package / "__init__.py"))
    monkeypatch.syspath_prepend(str(tmp_path / "src"))

    assert find_alias_owner() == AliasOwner(OURS, alias)


@pytest.mark.parametrize("files", [["hypervisor.py"], ["hypervisor/__init__.py"]])
def test_alias_that_is_hidden_by_something_else_is_a_problem(
    distribute: Distribute, files: list[str]
) -> None:
    distribute("other", *files)

    told = examined()

    assert told["alias"] == {"name": "hypervisor.observability", "owner": None, "file": None}
    assert told["problems"] == [
        "hypervisor.observability cannot be imported: no file on the path has it"
    ]


def test_alias_without_any_package_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing(PathFinder):
        @classmethod
        def find_spec(cls, *_: object, **__: object) -> None:
            return None

    monkeypatch.setattr(sys, "meta_path", [Nothing])

    assert find_alias_owner() == AliasOwner(None, None)


def test_problems_of_the_configuration_are_told() -> None:
    write_config("servce = 'shop'\n[plugins.nix]")

    told = examined()

    assert told["config"]["file"] == "hypervisor.toml"
    assert told["problems"] == told["config"]["problems"]
    assert told["problems"][0] == "hypervisor.toml:1: servce: unknown key (did you mean 'service'?)"
    assert told["problems"][1].startswith("hypervisor.toml:2: plugins.nix: no such plugin")
    assert "Config    hypervisor.toml, problems: 2" in call().stdout


def test_configuration_that_is_right_is_told() -> None:
    write_config("service = 'shop'")

    assert "Config    hypervisor.toml, problems: 0" in call().stdout


def test_configuration_that_cannot_be_found_is_told() -> None:
    told = examined("--config", "missing.toml")

    assert told["problems"] == ["missing.toml: no such file"]
    assert "Config    unusable, problems: 1" in call("--config", "missing.toml").stdout


def test_plugins_are_listed_without_being_imported(distribute: Distribute) -> None:
    distribute("acme-wire", plugins=plugins_of(wire=MISSING))

    done = call()

    assert done.exit_code == 0
    assert "Plugin    wire: acme-wire 1.2, off" in done.stdout


def test_two_that_claim_one_name_are_a_problem(distribute: Distribute) -> None:
    distribute("acme-wire", plugins=plugins_of(wire=MISSING))
    distribute("other", plugins=plugins_of(wire=MISSING))

    (problem,) = examined()["problems"]

    assert "the plugin name wire is claimed by" in problem
    assert {"acme-wire", "other:"} < set(problem.split())


@pytest.mark.parametrize(
    ("requires", "found"),
    [
        (f"{OURS}~=0.9.0", "1.2 is installed"),
        ("no-such-thing", "it is not installed"),
    ],
)
def test_versions_that_do_not_fit_are_a_problem(
    distribute: Distribute, monkeypatch: pytest.MonkeyPatch, requires: str, found: str
) -> None:
    distribute(OURS)
    distribute("acme-wire", requires=requires, plugins=plugins_of(wire=MISSING))
    monkeypatch.setattr(doctor, "__version__", "1.2")

    # The plugins that are really installed do not fit the version made up here either.
    assert f"acme-wire needs {requires}, but {found}" in examined()["problems"]


def test_stale_metadata_are_a_problem(distribute: Distribute) -> None:
    distribute(OURS)

    problem = examined()["problems"][0]

    assert problem.startswith(f"the metadata of {OURS} say 1.2, its code is ")


def test_code_that_is_only_on_the_path_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version_of", lambda _: None)

    assert any("is on the path, but not installed" in note for note in examined()["notes"])


def test_variables_are_told_but_unknown_ones_without_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HYPERVISOR_OBSERVABILITY_DISABLED", "true")
    monkeypatch.setenv("HYPERVISOR_OBSERVABILITY_CONFG", "hunter2")
    monkeypatch.setenv("HYPERVISOR_OBSERVABILITY_Q7", "hunter2")

    told, text = examined(), call().stdout

    assert told["environment"]["HYPERVISOR_OBSERVABILITY_DISABLED"] == "true"
    assert told["environment"]["HYPERVISOR_OBSERVABILITY_CONFG"] == "(set)"
    assert "(did you mean HYPERVISOR_OBSERVABILITY_CONFIG?)" in text
    assert "an application starts no plugin" in text
    assert "hunter2" not in text + json.dumps(told)


def test_hostile_metadata_do_not_command_the_terminal(distribute: Distribute) -> None:
    distribute("acme-wire", version="1.2\x1b[2J", plugins=plugins_of(**{"wi\x1b[2Jre": MISSING}))

    assert "\x1b" not in call().output
    assert "\x1b" not in run_hvobs("plugins").output
    assert "\x1b" not in run_hvobs("--help").output


def test_requirements_with_a_condition_are_left_to_pip(distribute: Distribute) -> None:
    distribute("acme", requires="no-such-thing>=1 ; extra == 'x'")

    assert misfits(["acme", "no-such-distribution"]) == []


@pytest.mark.parametrize(
    ("version", "clauses"), [("odd", ">=1"), ("1.0", "===1.0"), ("1.0", ""), ("1.0", ">=1.0rc1")]
)
def test_what_cannot_be_judged_fits(version: str, clauses: str) -> None:
    assert fits(version, clauses)


_release = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(
    lambda numbers: ".".join(map(str, numbers))
)
_clause = st.one_of(
    st.tuples(st.sampled_from(["==", "!=", "<=", ">=", "<", ">"]), _release).map("".join),
    st.tuples(st.sampled_from(["==", "!="]), _release, st.just(".*")).map("".join),
    st.tuples(st.just("~="), _release.filter(lambda text: "." in text)).map("".join),
)


@given(_release, st.lists(_clause, max_size=3).map(",".join))
def test_versions_fit_as_packaging_says(version: str, clauses: str) -> None:
    assert fits(version, clauses) == (version in SpecifierSet(clauses))
