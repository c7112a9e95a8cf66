"""What must not stand in the sources, and in the files of the repository."""

import ast
import os
import re
from pathlib import Path

import pytest

from tests.programs import run

REPOSITORY = Path(__file__).parents[2]
SHIPPED = ["core/src", "plugins/*/src", "docs/examples/*/src"]

# What an attacker looks for, as it stands in code; comments and docstrings may speak of it.
FORBIDDEN = {
    "pickle": r"\bpickle\b",
    "eval": r"(?<![.\w])eval\(",
    "exec": r"(?<![.\w])exec\(",
    "yaml.load": r"\byaml\.load\b",
    "shell=True": r"\bshell=True\b",
    "verify=False": r"\bverify=False\b",
    "0.0.0.0": r"\b0\.0\.0\.0\b",
    "md5": r"\bmd5\b",
    "signal.signal": r"\bsignal\.signal\b",
}

# (file, what stands there): why it may.
ALLOWED = {
    (
        "core/src/hypervisor_observability/serving/settings.py",
        "0.0.0.0",
    ): "The address that is shown for it is a loopback one; what is bound is the user's choice.",
    (
        "core/src/hypervisor_observability/threads/stop_signals.py",
        "signal.signal",
    ): "StopSignals, for all commands: a handler may set a SignalEvent, never a threading.Event.",
    (
        "core/src/hypervisor_observability/host/exits.py",
        "signal.signal",
    ): "Its handler raises SystemExit, and sets nothing.",
    (
        "plugins/web/src/hypervisor_web/mcp/command.py",
        "signal.signal",
    ): "The system's own handler, while the server reads.",
}

# Spelt in two parts, so that this file is none of those that it looks for.
REGISTRIES = re.compile(
    r"\b(?:(?:pypi|pythonhosted|npmjs|debian|golang|yarnpkg|crates|maven)\.(?:org|io|com))\b"
)


def shipped_files() -> list[Path]:
    folders = [folder for pattern in SHIPPED for folder in REPOSITORY.glob(pattern)]
    return sorted(file for folder in folders for file in folder.rglob("*.py"))


def code_of(source: str) -> str:
    """Give the code of *source* without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def repository_files() -> list[Path]:
    """Name the files that are, or would be, in the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = run(command, cwd=REPOSITORY)
    if done.returncode:
        pytest.skip("This is no git checkout: there are no tracked files.")
    files = [REPOSITORY / name for name in done.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


@pytest.mark.fault("X5")
def test_shipped_code_holds_nothing_dangerous() -> None:
    found = set()
    for file in shipped_files():
        code = code_of(file.read_text(encoding="utf-8"))
        name = str(file.relative_to(REPOSITORY))
        found |= {(name, what) for what, pattern in FORBIDDEN.items() if re.search(pattern, code)}

    assert shipped_files()
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("pickle", "from pickle import loads"),
        ("eval", "eval('1')"),
        ("exec", "x = exec('1')"),
        ("yaml.load", "yaml.load(x)"),
        ("shell=True", "run('x', shell  =  True)"),
        ("verify=False", "get(x, verify= False)"),
        ("0.0.0.0", "bind(('0.0.0.0', 1))"),
        ("md5", "hashlib.md5(b'')"),
        ("signal.signal", "signal.signal(signal.SIGINT, handle)"),
    ],
)
def test_search_finds_what_is_forbidden(what: str, code: str) -> None:
    assert re.search(FORBIDDEN[what], code_of(code))


def test_search_passes_over_prose() -> None:
    code = code_of('"""Never eval(x)."""  # nor exec(x)\nx = 1')

    assert not [what for what, pattern in FORBIDDEN.items() if re.search(pattern, code)]


def test_no_file_names_the_host_of_a_package_registry() -> None:
    named = {
        str(file.relative_to(REPOSITORY)): REGISTRIES.findall(text)
        for file in repository_files()
        if REGISTRIES.search(text := file.read_text(encoding="utf-8", errors="replace"))
    }

    assert named == {}


def test_no_lock_file_is_tracked() -> None:
    lock_files = {"uv.lock", "package-lock.json", "poetry.lock", "go.sum"}

    assert not [file for file in repository_files() if file.name in lock_files]


@pytest.mark.parametrize("script", [".ci/run"])
def test_script_is_executable(script: str) -> None:
    assert os.access(REPOSITORY / script, os.X_OK)
