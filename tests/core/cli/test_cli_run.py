"""``hvobs run``: a program runs as it would without it, and is seen. Real processes throughout."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hypervisor_observability import CausalTraceId
from tests.commands import HVOBS, run_hvobs
from tests.configurations import write_config
from tests.core.cli.running import (
    BOTH,
    SEEN,
    USE,
    hvobs_run,
    program,
    python,
    uses,
    work_in,
)
from tests.distributions import plugins_of, write_distribution
from tests.programs import run

NOTHING = (
    "hvobs run: nothing was seen: no framework of a source was imported (waited for acme_agents)"
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in(tmp_path, monkeypatch)


@pytest.fixture
def _here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the plugins found by this process too, for commands that run in it."""
    monkeypatch.syspath_prepend(str(place / "site"))
    yield
    for name in ("acme_agents", "acme_source"):
        sys.modules.pop(name, None)


def test_program_is_seen_with_no_line_changed() -> None:
    result = hvobs_run(program(USE))

    assert (result.returncode, result.stdout) == (0, "['city']\n"), result.stderr
    assert result.stderr == f"{SEEN}\n"
    assert uses() == 1
    tree = run([*HVOBS, "tree"], check=True)
    assert "did:acme:a" in tree.stdout


LINKING = """
from attrs import define, frozen
from hypervisor_observability import hookimpl


@frozen
class Config:
    url: str = ""


@define(eq=False)
class Linking:
    config: Config
    Config = Config

    @hookimpl
    def export_events(self, events):
        pass

    @hookimpl
    def trace_url(self, trace):
        if not self.config.url:
            raise SystemExit("no address")
        return f"{self.config.url}/t/{trace}"
"""


@pytest.mark.parametrize("url", ["https://ui", ""])
def test_last_line_says_where_a_backend_shows_the_trace(place: Path, url: str) -> None:
    (place / "site" / "linking.py").write_text(LINKING)
    write_distribution(place / "site", "linking", plugins_of(linking="linking:Linking"))
    write_config(f'{BOTH}[plugins.linking]\nurl = "{url}"\n')

    result = hvobs_run(program(USE))
    links = json.loads(run([*HVOBS, "tree", "--json"], check=True).stdout)["traces"]
    (trace,) = {one["trace_id"] for one in links}
    where = f" (the last trace: {url}/t/{CausalTraceId(trace).to_w3c()[0]})" if url else ""

    assert (result.returncode, result.stdout) == (0, "['city']\n")
    assert result.stderr.splitlines()[-1] == SEEN.replace("seen; ", f"seen; linking has 3{where}; ")


PAGED = """
from hypervisor_observability import hookimpl


class Paged:
    @hookimpl
    def export_events(self, events):
        pass

    @hookimpl
    def page_url(self):
        return "http://me:token@127.0.0.1:9/?token=t#token=t\x1b"
"""
FORKING = f"""{USE}
import os
from multiprocessing import get_context

if __name__ == "__main__":
    child = get_context("fork").Process(target=print, args=("child",))
    child.start()
    child.join()
"""


def test_page_of_a_plugin_is_told_whole_on_a_terminal_and_without_secrets_in_a_file(
    place: Path,
) -> None:
    (place / "site" / "paged.py").write_text(PAGED)
    write_distribution(place / "site", "paged", plugins_of(paged="paged:Paged"))
    write_config(f"{BOTH}[plugins.paged]\n")
    file = program(FORKING)
    ours, theirs = os.openpty()
    with subprocess.Popen([*HVOBS, "run", str(file)], stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # how Linux says that the other end was closed
            while chunk := os.read(ours, 65_536):
                shown += chunk
        assert process.wait(timeout=60) == 0
    os.close(ours)

    lines = shown.decode().splitlines()
    url = r"http://me:token@127.0.0.1:9/?token=t#token=t\x1b"
    assert lines[0] == f"hvobs run: paged shows what happens: {url}"
    assert shown.count(b"paged shows") == 1
    stderr = hvobs_run(file).stderr
    assert stderr.startswith("hvobs run: paged shows what happens: http://127.0.0.1:9 (what lets")
    assert "token" not in stderr


# What a program can find out about where it runs.
LOOK = """
import json, os, sys
print(json.dumps([__name__, __file__, sys.argv, sys.path, __spec__ and __spec__.name,
                  sys.modules["__main__"].__dict__ is globals(), os.getcwd(), sys.flags]))
"""


@pytest.mark.parametrize(
    "arguments", [("app.py", "-m", "--config", "x"), ("-m", "app", "--", "-h")]
)
def test_program_finds_what_it_finds_without_us(arguments: tuple[str, ...]) -> None:
    program(LOOK)

    assert json.loads(hvobs_run(*arguments).stdout) == json.loads(python(*arguments).stdout)


@pytest.mark.parametrize("path", ["", "{}", "{}:", ":{}", "a::{}", "{0}:{0}"])
def test_path_is_the_one_without_us(path: str, place: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": path.format(place / "site")}
    text = "import json, sys; print(json.dumps(sys.path))"
    write_config('[plugins.journal]\ndirectory = "journal"\n')
    with_us = hvobs_run("-c", text, env=environ)

    assert json.loads(with_us.stdout) == json.loads(python("-c", text, env=environ).stdout)


def test_own_options_stand_before_the_program() -> None:
    Path("hypervisor.toml").rename("other.toml")
    program("import sys; print(sys.argv[1:])")

    named = hvobs_run("--config", "other.toml", "app.py", "--config", "x")
    joined = hvobs_run("--config=other.toml", "--", "app.py", "--help")

    assert (named.stdout, joined.stdout) == ("['--config', 'x']\n", "['--help']\n")


@pytest.mark.parametrize(
    "text",
    [
        "raise SystemExit(7)",
        "raise SystemExit('said')",
        "def inner():\n    raise ValueError('x')\ninner()",
        "import os; os._exit(9)",
        "raise KeyboardInterrupt",
        "def (",
        "import acme_absent",
        "import atexit; atexit.register(print, 'last')",
        "import threading as t\nt.Timer(0.2, print, ['thread']).start()",
    ],
)
def test_program_ends_as_it_ends_without_us(text: str) -> None:
    program(f"import acme_agents\n{text}\n" if text != "def (" else text)
    with_us, without = hvobs_run("app.py"), python("app.py")

    assert with_us.returncode == without.returncode
    assert with_us.stdout == without.stdout
    told = [line for line in with_us.stderr.splitlines() if not line.startswith("hvobs run: ")]
    assert told == without.stderr.splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signal_reaches_the_program(number: signal.Signals) -> None:
    program(f"{USE}\nimport time\nprint('ready', flush=True)\ntime.sleep(60)")
    process = subprocess.Popen(
        [*HVOBS, "run", "app.py"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        while process.stdout.readline() != "ready\n":
            assert process.poll() is None
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()

    assert process.returncode == -number
    assert uses() == 1
    assert ("KeyboardInterrupt" in told) is (number == signal.SIGINT)


def test_program_that_is_to_handle_sigterm_delivers_at_it() -> None:
    write_config(f"handle_sigterm = true\n{BOTH}")
    text = f"{USE}\nimport os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)"
    result = hvobs_run(program(text))

    assert (result.returncode, result.stdout) == (128 + signal.SIGTERM, "['city']\n")
    assert result.stderr == f"{SEEN}\n"


def test_framework_that_a_coroutine_imports_is_seen() -> None:
    program(USE)
    text = "import asyncio\nasync def main():\n    import app\nasyncio.run(main())\n"
    result = hvobs_run(program(text, "outer.py"))

    assert (result.stdout, result.stderr) == ("['city']\n", f"{SEEN}\n")


def test_program_handles_a_signal_itself() -> None:
    text = "import os, signal\nsignal.signal(signal.SIGTERM, lambda *_: print('handled'))\n"
    result = hvobs_run(program(f"{text}{USE}\nos.kill(os.getpid(), signal.SIGTERM)"))

    assert (result.returncode, result.stdout) == (0, "['city']\nhandled\n")


def test_program_reads_its_input() -> None:
    result = hvobs_run("-", input="print(input())\nhello\n")

    assert result.returncode == python("-", input="print(input())\nhello\n").returncode


def test_python_of_another_environment_is_left_alone() -> None:
    program(USE)
    other = os.path.realpath(sys.executable)
    text = f"import subprocess; subprocess.run([{other!r}, 'app.py'], check=True)"
    result = hvobs_run(program(text, "parent.py"))

    assert (result.returncode, result.stdout) == (0, "['city']\n"), result.stderr
    assert [line for line in result.stderr.splitlines() if "hvobs run" not in line] == []


def test_program_that_gevent_patches_is_patched_first() -> None:
    text = f"from gevent import monkey\nmonkey.patch_all()\n{USE}"
    result = hvobs_run(program(text))

    assert (result.stdout, result.stderr) == ("['city']\n", f"{SEEN}\n")


def test_run_below_run_is_seen_once() -> None:
    program(USE)
    text = f"import subprocess; subprocess.run({[*HVOBS, 'run', 'app.py']!r}, check=True)"
    result = hvobs_run(program(text, "outer.py"))

    assert (result.returncode, result.stdout) == (0, "['city']\n"), result.stderr
    assert uses() == 1
    assert result.stderr.splitlines() == [
        SEEN,
        NOTHING,
    ]


def test_program_that_empties_its_environment_is_seen() -> None:
    """As tests do for a while: a framework may be imported meanwhile for the first time."""
    result = hvobs_run(program(f"import os\nos.environ.clear()\n{USE}print(dict(os.environ))"))

    assert (result.stdout, result.stderr) == ("['city']\n{}\n", f"{SEEN}\n")


def test_program_that_observes_itself_is_seen_once() -> None:
    program(USE)
    result = hvobs_run(
        program(
            "from hypervisor_observability import Observability\n"
            "with Observability.from_config('hypervisor.toml') as observability:\n"
            "    import app\n"
            "    print(observability.states())\n",
            "outer.py",
        )
    )

    assert result.stdout == "['city']\n{'acme': 'running'}\n"
    assert result.stderr == "hvobs run: sources of the program's own are on: they alone see it\n"
    assert uses() == 1


def test_plugin_that_starts_python_while_it_starts_is_started_once(place: Path) -> None:
    source = place / "site" / "acme_source.py"
    text = source.read_text().replace(
        'log.append("instrument")',
        "import subprocess, sys; print(subprocess.run([sys.executable, 'app.py']).returncode)",
    )
    source.write_text(text)
    result = hvobs_run(program(USE))

    assert result.stdout.splitlines() == ["['city']", "0", "['city']"]
    assert uses() == 1


HIDDEN = "import sys; sys.hidden = True; print('hidden', __name__, __file__)"


def test_sitecustomize_that_was_there_runs_as_before(place: Path) -> None:
    path = place / "site" / "sitecustomize.py"
    path.write_text(HIDDEN)
    text = "import sitecustomize, sys; print(sitecustomize.__file__, sys.hidden, sys.path)"
    result = hvobs_run(program(f"{USE}{text}"))

    of_the_command, _, of_the_program = result.stdout.partition("\n")
    assert of_the_command == f"hidden sitecustomize {path}"
    assert of_the_program == python("app.py").stdout
    path.unlink()
    assert uses() == 1


def test_sitecustomize_that_fails_is_told_as_before(place: Path) -> None:
    (place / "site" / "sitecustomize.py").write_text("raise ValueError('site')")
    with_us, without = hvobs_run(program(USE)), python(program(USE))

    assert with_us.stdout == without.stdout
    assert with_us.stderr.endswith(f"{SEEN}\n")
    # The command itself is a Python process too.
    assert with_us.stderr.count("ValueError: site") == 2 * without.stderr.count("ValueError: site")
    assert uses() == 1


def test_program_without_a_framework_starts_nothing() -> None:
    text = "import sys; print([one for one in sys.modules if 'hypervisor' in one])"
    result = hvobs_run(program(text))

    assert (result.returncode, result.stdout) == (0, "[]\n")
    assert result.stderr == f"{NOTHING}\n"
    assert not Path("journal").exists()


def test_folder_of_ours_stands_on_pythonpath_once_and_on_the_path_never() -> None:
    text = "import os, sys; print(os.environ['PYTHONPATH'].split(os.pathsep)); print(sys.path)"
    program(text)
    nested = f"import subprocess; subprocess.run({[*HVOBS, 'run', 'app.py']!r})"
    variable, path = hvobs_run(program(nested, "outer.py")).stdout.splitlines()

    assert variable.count("startup") == 1
    assert "startup" not in path


def test_source_without_a_framework_begins_at_once(place: Path) -> None:
    source = place / "site" / "acme_source.py"
    source.write_text(
        source.read_text()
        .replace('targets = ("acme_agents",)', "targets = ()")
        .replace('supports = ">=1.0,<2"', "")
    )
    result = hvobs_run(program(USE))

    assert (result.stdout, result.stderr) == ("['city']\n", f"{SEEN}\n")


def test_source_that_is_down_is_told(place: Path) -> None:
    write_config(BOTH.replace("]\n", ']\nfails = "begin"\n', 1))
    result = hvobs_run(program(USE))

    assert (result.returncode, result.stdout) == (0, "['city']\n")
    assert result.stderr.splitlines()[-1] == (
        "hvobs run: nothing was seen (acme down: ValueError: cannot begin)"
    )


def test_framework_that_did_nothing_is_told() -> None:
    result = hvobs_run(program("import acme_agents"))

    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "hvobs run: nothing was seen (acme was up)\n"


def test_configuration_without_a_source_is_told() -> None:
    write_config('[plugins.journal]\ndirectory = "journal"\n')
    result = hvobs_run(program(USE))

    assert (result.returncode, result.stdout) == (0, "['city']\n")
    assert result.stderr.splitlines()[-1] == "hvobs run: nothing was seen: no source is on"


def test_events_that_nothing_keeps_are_told_with_what_would_keep_them() -> None:
    write_config("[plugins.acme]\n")
    result = hvobs_run(program(USE))

    assert (result.returncode, result.stdout) == (0, "['city']\n")
    assert result.stderr.splitlines()[-1].endswith(
        "seen; no plugin reads them: [plugins.journal] in the configuration would keep them"
    )


def test_configuration_that_is_gone_leaves_the_program_alone() -> None:
    result = hvobs_run(program(f"import os; os.remove('hypervisor.toml'){USE}"))

    assert (result.returncode, result.stdout) == (0, "['city']\n")
    assert "this process is not observed" in result.stderr


def test_disabled_observability_is_told_and_starts_nothing() -> None:
    environ = {**os.environ, "HYPERVISOR_OBSERVABILITY_DISABLED": "true"}
    result = hvobs_run(program(USE), env=environ)

    assert (result.returncode, result.stdout) == (0, "['city']\n")
    assert "HYPERVISOR_OBSERVABILITY_DISABLED is true" in result.stderr
    assert not Path("journal").exists()


@pytest.mark.usefixtures("_here")
def test_mistakes_are_told_before_anything_runs() -> None:
    program("open('ran', 'w')")
    assert "nothing to run" in run_hvobs("run").stderr
    assert "nothing to run" in run_hvobs("run", "-m").stderr
    assert "No such option" in run_hvobs("run", "--odd", "app.py").stderr
    assert "there is no file pytest; for the module: -m pytest" in run_hvobs("run", "pytest").stderr
    assert "there is no file app; did you mean app.py?" in run_hvobs("run", "app").stderr
    assert run_hvobs("run", "nosuch.py").stderr.endswith("Error: there is no file nosuch.py\n")
    assert run_hvobs("run", "__main__").stderr.endswith("Error: there is no file __main__\n")
    for other in ("python", "python3.13", sys.executable):
        told = f"leave out {other}: the program runs in hvobs's own Python"
        assert told in run_hvobs("run", other, "app.py").stderr
    write_config("[plugins.acme]\ncontent = 'some'\n")
    wrong = run_hvobs("run", "app.py")
    assert (wrong.exit_code, "hypervisor.toml:2: plugins.acme.content" in wrong.stderr) == (2, True)
    Path("hypervisor.toml").unlink()
    absent = run_hvobs("run", "app.py")
    assert (absent.exit_code, "no configuration" in absent.stderr) == (2, True)
    assert not Path("ran").exists()
    assert "[-m MODULE | -c CODE | SCRIPT] [ARGS]..." in run_hvobs("run", "--help").stdout


def test_configuration_without_a_source_is_told_and_the_program_runs() -> None:
    write_config('[plugins.journal]\ndirectory = "journal"\n')
    result = hvobs_run(program(USE))

    assert (result.returncode, result.stdout) == (0, "['city']\n")
    assert "no source is on" in result.stderr


@pytest.mark.usefixtures("_here")
def test_check_says_whether_the_framework_fits(place: Path) -> None:
    write_config("[plugins.acme]\n")
    metadata = place / "site" / "acme_agents-1.4.dist-info" / "METADATA"
    fits = run_hvobs("check")
    metadata.write_text("Metadata-Version: 2.1\nName: acme-agents\nVersion: 2.0\n")
    misfit = run_hvobs("check")
    metadata.unlink()
    absent = run_hvobs("check")

    assert (fits.exit_code, fits.stdout.split()) == (
        0, ["acme", "ok", "acme_agents", "1.4", "is", "installed"],
    )  # fmt: skip
    assert misfit.exit_code == 1
    assert "acme_agents 2.0 is not supported, >=1.0,<2 is" in misfit.stdout
    assert (absent.exit_code, "it waits for acme_agents" in absent.stdout) == (0, True)


@pytest.mark.usefixtures("_here")
def test_check_of_a_source_for_several_frameworks_fails_where_none_fits(place: Path) -> None:
    write_config("[plugins.acme]\n")
    source, site = place / "site" / "acme_source.py", place / "site"
    text = source.read_text().replace('("acme_agents",)', '("acme_agents", "acme_space")')
    text = text.replace('">=1.0,<2"', '{"acme_agents": ">=2"}')
    source.write_text(text.replace('name = "acme"', 'name = "acme"\n    each_target = True'))
    none = run_hvobs("check")
    write_distribution(site, "acme-space", version="3.0")
    one = run_hvobs("check")

    misfit = "acme_agents 1.4 is not supported, >=2 is"
    assert (none.exit_code, misfit in none.stdout) == (1, True)
    assert one.exit_code == 0
    assert f"acme_space 3.0 is installed; {misfit}" in " ".join(one.stdout.split())


@pytest.mark.usefixtures("_here")
def test_status_shows_sources() -> None:
    write_config(f'[state]\ndirectory = "state"\n{BOTH}')
    program(f"{USE}\nAgent('odd', lambda **_: None).run()")
    assert hvobs_run("app.py").returncode == 0
    result = run_hvobs("status")

    assert result.exit_code == 1
    (row,) = [line for line in result.stdout.splitlines() if "(source)" in line]
    assert row.split()[:3] == ["acme", "(source)", "stopped"]
    assert "problem: acme: 1 of its callbacks raised: see the log" in result.stdout
    write_config(f'[state]\ndirectory = "state"\n{BOTH}'.replace("acme]", "acme]\nfails='half'"))
    assert hvobs_run("app.py").returncode == 0
    assert ": acme is down: ValueError: cannot go on" in run_hvobs("status").stdout


@pytest.mark.usefixtures("_here")
def test_replay_has_no_source_on(place: Path) -> None:
    source = place / "site" / "acme_source.py"
    assert hvobs_run(program(USE)).returncode == 0
    text = source.read_text().replace('targets = ("acme_agents",)', 'distribution = "acme-agents"')
    source.write_text(text.replace('log.append("instrument")', 'open("instrumented", "w")'))
    replayed = run_hvobs("replay")

    assert (replayed.exit_code, replayed.stdout) == (0, "metrics: delivered 3 of 3\n")
    assert not Path("instrumented").exists()


@pytest.mark.usefixtures("_here")
def test_agent_reads_what_a_source_wrote_and_has_none_on(place: Path) -> None:
    source = place / "site" / "acme_source.py"
    assert hvobs_run(program(USE)).returncode == 0
    text = source.read_text().replace('targets = ("acme_agents",)', 'distribution = "acme-agents"')
    source.write_text(text.replace('log.append("instrument")', 'open("instrumented", "w")'))
    result = run([*HVOBS, "agent", "--once"])

    assert result.returncode == 0, result.stderr
    assert not Path("instrumented").exists()
