"""Celery's worker processes deliver what their tasks emit, also where each runs one task alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import run_python
from tests.waiting import wait_until

pytest.importorskip("celery", reason="Celery is not installed")
pytestmark = [
    pytest.mark.fault("C12"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="Celery's prefork pool needs fork"),
]

APPLICATION = """\
import os, sys
from celery import Celery
from celery.signals import worker_process_init
from hypervisor_observability import Config, DeliveryConfig, EventType, Observability, hookimpl

folder = os.environ["FOLDER"]
app = Celery("tasks")
app.conf.update(
    broker_url="filesystem://",
    broker_transport_options={name: f"{folder}/broker" for name in
                              ("data_folder_in", "data_folder_out", "control_folder")},
    worker_max_tasks_per_child=1,
    task_ignore_result=True,
    worker_send_task_events=False,
)


class Writing:
    name = "writing"

    @hookimpl
    def export_events(self, events):
        with open(f"{folder}/out", "a") as file:
            file.writelines(f"{os.getpid()} {event.payload['task']}\\n" for event in events)


# So that nothing is delivered before the end of the process.
config = Config(delivery=DeliveryConfig(interval_seconds=3_600))
observability = Observability(config, plugins=[Writing()])
if os.environ["STARTS"] == "parent":
    observability.start()
else:
    worker_process_init.connect(lambda **_: observability.start(), weak=False)


@app.task(name="work")
def work(number):
    for _ in range(10):
        observability.bus.record(EventType.VFS_WRITE, payload={"task": number})
"""
SEND = "import tasks; [tasks.app.send_task('work', (number,)) for number in range(3)]"


@pytest.mark.slow
@pytest.mark.parametrize("starts", ["parent", "child"])
def test_worker_process_of_one_task_delivers_what_it_emits(tmp_path: Path, starts: str) -> None:
    (tmp_path / "broker").mkdir()
    (tmp_path / "tasks.py").write_text(APPLICATION)
    left_out = ("COVERAGE", "COV_")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(left_out)},
        "FOLDER": str(tmp_path),
        "STARTS": starts,
    }
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "tasks", "worker"]
    command += ["--pool=prefork", "--concurrency=2", "--without-gossip", "--without-mingle"]
    out = tmp_path / "out"

    def lines() -> list[str]:
        return out.read_text().splitlines() if out.exists() else []

    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as worker:
        try:
            run_python(SEND, cwd=tmp_path, env=environment, check=True, timeout=90)
            wait_until(lambda: len(lines()) >= 30, timeout=90)
        finally:
            worker.send_signal(signal.SIGTERM)
            try:
                _, said = worker.communicate(timeout=90)
            except subprocess.TimeoutExpired:
                worker.kill()
                raise

    found = [line.split() for line in lines()]
    assert sorted(task for _, task in found) == [str(n) for n in range(3) for _ in range(10)], said
    assert len({pid for pid, _ in found}) == 3
    assert str(worker.pid) not in {pid for pid, _ in found}


def test_celery_is_not_imported_by_us() -> None:
    code = "import hypervisor_observability as h, sys; h.Observability().start().stop();"
    code += "sys.exit('celery' in sys.modules or 'multiprocessing.util' in sys.modules)"
    assert run_python(code, timeout=90).returncode == 0
