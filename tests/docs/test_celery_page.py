"""What the page on Celery says of tasks whose process is killed, and of those that retry, holds."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.markdown import blocks_of
from tests.sources.pages import environ_of_commands
from tests.sources.terminals import Terminal
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="Celery's prefork pool needs fork"),
]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "celery.md"
MORE = """
import os, signal

app.conf.worker_lost_wait = 0.1  # 10 seconds by default


@app.task
def dying():
    with recorder.agent("did:mesh:packer", name="packer"):
        if not Path("died").exists():
            Path("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True, max_retries=1)
def trying(self):
    if not self.request.retries:
        raise self.retry(exc=ConnectionError("no paper"), countdown=0)
"""
SEND = """
from tasks import dying, observability, recorder, trying

with observability, recorder.agent("did:mesh:buyer", name="buyer"):
    dying.delay()
    trying.delay()
"""


@pytest.mark.parametrize(("pool", "start"), [("prefork", ""), ("threads", "worker_")])
def test_task_that_is_sent_again_is_below_the_same_sender(
    tmp_path: Path, pool: str, start: str
) -> None:
    for block in blocks_of(PAGE):
        if block.words and block.words[0] in ("tasks.py", "hypervisor.toml"):
            (tmp_path / block.words[0]).write_text(block.text)
            (tmp_path / block.words[0]).chmod(0o600)
    (acknowledging,) = [one.text for one in blocks_of(PAGE) if "notest" in one.words]
    tasks = (tmp_path / "tasks.py").read_text()
    if start:  # as the page says of pools without processes
        for before, after in (
            ("worker_process_init", "worker_init"),
            ("worker_process_", "worker_"),
        ):
            assert before in tasks
            tasks = tasks.replace(before, after)
    (tmp_path / "tasks.py").write_text(tasks + acknowledging + MORE)
    command = f"celery -A tasks worker --pool {pool} --concurrency 2 --loglevel INFO"
    worker = Terminal(command, tmp_path / "worker.log", "the test")

    def run(*command: str) -> str:
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environ_of_commands(),
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        ).stdout

    if start:
        (tmp_path / "died").touch()
    worker.start(tmp_path, environ_of_commands())
    try:
        worker.wait_for(lambda printed: " ready." in printed)
        run("python", "-c", SEND)
        ended = ("succeeded", 2)
        wait_until(lambda: worker.printed().count(ended[0]) >= ended[1], timeout=90)
        worker.interrupt()
        tree = run("hvobs", "tree")
    finally:
        worker.close()

    lines = tree.splitlines()
    assert sum(line.startswith("trace ") for line in lines) == 1, tree
    dying = [line for line in lines if "run tasks.dying" in line]
    assert [line.split()[-1] for line in dying] == (["ok"] if start else ["running", "ok"]), tree
    first, second = (line for line in lines if "run tasks.trying" in line)
    assert (first.split()[-1], second.split()[-1]) == ("FAILED", "ok"), tree
    assert second.index("run") > first.index("run"), tree
