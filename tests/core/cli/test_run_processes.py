"""What a program under ``hvobs run`` starts is seen: processes, pools, servers, test runs."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.commands import HVOBS
from tests.configurations import write_config
from tests.core.cli.running import (
    SEEN,
    USE,
    events,
    hvobs_run,
    program,
    python,
    told,
    uses,
    work_in,
)
from tests.http_client import ask
from tests.waiting import wait_until

STORED = "journal keeps them, 'hvobs tree' shows them"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in(tmp_path, monkeypatch)


FORK = """
import os, runpy
pid = os.fork()
if pid == 0:
    runpy.run_path("app.py")
else:
    os.waitpid(pid, 0)
"""
PROCESS = """
import multiprocessing, runpy
if __name__ == "__main__":
    context = multiprocessing.get_context("{}")
    process = context.Process(target=runpy.run_path, args=["app.py"])
    process.start()
    process.join()
"""


@pytest.mark.parametrize(
    "text",
    [
        "import subprocess, sys; subprocess.run([sys.executable, 'app.py'], check=True)",
        "import os, sys; os.execv(sys.executable, [sys.executable, 'app.py'])",
        FORK,
        *(PROCESS.format(method) for method in ("spawn", "fork", "forkserver")),
    ],
    ids=["subprocess", "exec", "os.fork", "spawn", "fork", "forkserver"],
)
def test_child_processes_are_seen(text: str) -> None:
    program(USE)
    result = hvobs_run(program(text, "parent.py"))

    assert (result.returncode, result.stdout) == (0, "['city']\n"), result.stderr
    assert uses() == 1
    assert len([one for one in result.stderr.splitlines() if "hvobs run" in one]) == 1


def test_workers_forked_after_the_import_are_seen() -> None:
    text = f"""{USE}
import os, sys
children = []
for number in range(3):
    pid = os.fork()
    if pid == 0:
        Agent(f"worker-{{number}}", lambda **_: None).run()
        sys.exit(number)
    children.append(pid)
print(sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children))
"""
    result = hvobs_run(program(text))

    assert result.stdout.splitlines()[-1] == "[0, 1, 2]"
    assert {event["agent_did"] for event in events()} >= {f"did:acme:worker-{n}" for n in range(3)}
    assert result.stderr.count("hvobs run") == 1


POOLS = """
import concurrent.futures, multiprocessing, os, sys

def work(number):
    from acme_agents import Agent
    Agent(f"worker-{os.getpid()}", lambda **_: None).run()
    return number

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        print(list(pool.map(work, range(3))))
    with context.Pool(2) as pool:  # which terminates its processes
        print(pool.map(work, range(3)))
"""


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_pools_of_processes_are_seen_and_counted(method: str) -> None:
    result = hvobs_run(program(POOLS, "pools.py"), method)

    assert result.stdout == "[0, 1, 2]\n[0, 1, 2]\n", result.stderr
    assert uses() == 6
    workers = len({event["agent_did"] for event in events()} - {None})
    assert result.stderr == f"hvobs run: events of {workers} child processes seen; {STORED}\n"


def test_last_line_tells_own_events_from_those_of_children(temporary: Path) -> None:
    program(USE)
    text = f"{USE}\nimport subprocess, sys\nsubprocess.run([sys.executable, 'app.py'], check=True)"
    environ = {**os.environ, "TMPDIR": str(temporary)}
    result = hvobs_run(program(text, "parent.py"), env=environ)

    assert told(result.stderr) == [
        f"hvobs run: 3 events of 1 agent, and events of 1 child process, seen; {STORED}"
    ]
    assert list(temporary.iterdir()) == []


def test_child_that_emits_nothing_is_not_counted() -> None:
    text = f"""{USE}
import os
import re
import signal
if os.fork() == 0:
    os._exit(0)
os.wait()
"""
    assert told(hvobs_run(program(text)).stderr) == [SEEN]


def test_children_without_a_store_are_told_too() -> None:
    write_config("[plugins.acme]\n")
    program(USE)
    text = "import subprocess, sys; subprocess.run([sys.executable, 'app.py'], check=True)"
    result = hvobs_run(program(text, "parent.py"))

    assert told(result.stderr) == ["hvobs run: events of 1 child process seen; no store keeps them"]


WSGI = """
import os
from acme_agents import Agent

def application(environ, start_response):
    Agent(f"worker-{os.getpid()}", lambda **_: None).run()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
ASGI = """
import os
from acme_agents import Agent

async def application(scope, receive, send):
    assert scope["type"] == "http"
    Agent(f"worker-{os.getpid()}", lambda **_: None).run()
    start = {"status": 200, "headers": [(b"content-type", b"text/plain")]}
    await send({"type": "http.response.start", **start})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""
GUNICORN = ("gunicorn", "--bind", "fd://{}", "--no-control-socket")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "application", "codes"),
    [
        (GUNICORN, WSGI, {0}),
        ((*GUNICORN, "--preload"), WSGI, {0}),
        (("uvicorn", "--fd", "{}", "--lifespan=off"), ASGI, {0, -signal.SIGTERM}),
        (("hypercorn", "--bind", "fd://{}"), ASGI, {0}),
    ],
    ids=["gunicorn", "gunicorn, preloaded", "uvicorn", "hypercorn"],
)
def test_workers_of_servers_are_seen(
    server: tuple[str, ...], application: str, codes: set[int]
) -> None:
    program(application, "shop.py")
    with socket.create_server(("127.0.0.1", 0)) as listener, Path("log").open("wb") as log:
        arguments = [one.format(listener.fileno()) for one in server]
        process = subprocess.Popen(
            [*HVOBS, "run", "-m", *arguments, "--workers=2", "shop:application"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[listener.fileno()],
        )  # fmt: skip
        answered: list[str] = []

        def both_have_answered() -> bool:
            assert process.poll() is None, Path("log").read_text()
            answered.append(ask(listener.getsockname()[1], "/").text)
            return len(set(answered)) == 2

        try:
            wait_until(both_have_answered, timeout=120)
            process.terminate()
            assert process.wait(timeout=60) in codes, Path("log").read_text()
        finally:
            process.kill()
            process.wait()

    assert uses() == len(answered)
    seen = {event["agent_did"] for event in events()} - {None}
    assert seen == {f"did:acme:worker-{pid}" for pid in answered}
    assert told(Path("log").read_text()) == [
        f"hvobs run: events of 2 child processes seen; {STORED}"
    ]


CELERY = """
import os
from celery import Celery

app = Celery("tasks")
app.conf.update(
    broker_url="filesystem://",
    broker_transport_options={name: "broker" for name in
                              ("data_folder_in", "data_folder_out", "control_folder")},
    task_ignore_result=True,
    worker_send_task_events=False,
    worker_redirect_stdouts=False,
)
if os.environ["IMPORTS"] == "parent":
    import acme_agents


@app.task(name="work")
def work(number):
    from acme_agents import Agent
    Agent(f"task-{number}", lambda **_: None).run()
"""
SEND = "import tasks; [tasks.app.send_task('work', (number,)) for number in range(3)]"


@pytest.mark.slow
@pytest.mark.parametrize("imports", ["parent", "child"])
def test_workers_of_celery_are_seen(imports: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPORTS", imports)
    Path("broker").mkdir()
    program(CELERY, "tasks.py")

    def all_are_done() -> bool:
        return Path("journal").exists() and uses() == 3

    with Path("log").open("wb") as log:
        worker = subprocess.Popen(
            [*HVOBS, "run", "-m", "celery", "-A", "tasks", "worker", "--pool=prefork",
             "--concurrency=2", "--without-gossip", "--without-mingle"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            python("-c", SEND, check=True)
            wait_until(lambda: all_are_done() or worker.poll() is not None, timeout=120)
            worker.terminate()  # the workers do what they have begun
            assert worker.wait(timeout=60) == 0, Path("log").read_text()
        finally:
            worker.kill()
            worker.wait()

    agents = {event["agent_did"] for event in events()} - {None}
    assert agents == {f"did:acme:task-{number}" for number in range(3)}
    (line,) = told(Path("log").read_text())
    assert re.fullmatch(rf"hvobs run: events of [12] child process(es)? seen; {STORED}", line)


TESTS = """
import pytest
from acme_agents import Agent

@pytest.mark.parametrize("name", ["a", "b"])
def test_agent(name, capfd):
    assert Agent(name, lambda **_: 1).run() == 1
    assert capfd.readouterr() == ("", "")
"""


@pytest.mark.parametrize(
    ("more", "seen"), [((), "6 events of 2 agents"), (("-n2",), "events of 2")]
)
def test_test_run_is_seen(more: tuple[str, ...], seen: str) -> None:
    program(TESTS, "test_agents.py")
    result = hvobs_run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *more)

    assert (result.returncode, "2 passed" in result.stdout) == (0, True), result.stdout
    assert uses() == 2
    (line,) = told(result.stderr)
    assert line.startswith(f"hvobs run: {seen}")


def test_program_of_another_tool_that_runs_it_in_its_turn_is_seen() -> None:
    program(USE)
    program("import os, sys; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])", "tool.py")
    result = hvobs_run("tool.py", "app.py")

    assert (result.stdout, result.stderr) == ("['city']\n", f"{SEEN}\n")
