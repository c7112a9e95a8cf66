"""What becomes of a fork's child: it delivers what it emits, and ends."""

import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.core.host.ending_programs import NO_THREAD_AT_THE_END, PRELUDE, run


@pytest.mark.fault("C11")
def test_child_that_does_not_emit_starts_nothing_and_delivers_nothing(tmp_path: Path) -> None:
    program = """
    emit(100)
    assert o.flush(30)
    emit(5, 100)
    if os.fork() == 0:
        assert threads() == [], threads()
        assert o.counts()["writing"].emitted == 0
        sys.exit(5)
    _, status = os.wait()
    assert os.waitstatus_to_exitcode(status) == 5
    """
    code, delivered, _ = run(program, tmp_path)

    assert (code, delivered) == (0, Counter({"main by main": 105}))


@pytest.mark.fault("C11")
def test_child_delivers_its_own_events_once(tmp_path: Path) -> None:
    program = """
    emit(100)
    pid = os.fork()
    if pid == 0:
        emit(50)
        assert o.flush(30)
        emit(7, 50)
        assert o.counts()["writing"].emitted == 57
        sys.exit(0)
    emit(100, 100)
    _, status = os.wait()
    assert status == 0
    """
    code, delivered, told = run(program, tmp_path)

    assert (code, delivered) == (0, Counter({"main by main": 200, "child by child": 57})), told


@pytest.mark.fault("C11")
def test_many_forks_under_load_lose_nothing(tmp_path: Path) -> None:
    program = """
    go_on = True
    sent = [0] * 3
    def load(part):
        n = 0
        while go_on:
            emit(10, part * 10**6 + n)
            n += 10
            sent[part] = n
            time.sleep(0.001)
    loads = [threading.Thread(target=load, args=(part,)) for part in range(3)]
    [one.start() for one in loads]
    for child in range(20):
        pid = os.fork()
        if pid == 0:
            emit(20)
            ok = o.flush(30)
            o.stop()
            os._exit(0 if ok else 9)
        deadline = time.monotonic() + 60
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            assert time.monotonic() < deadline, f"child {child} hangs"
            time.sleep(0.002)
        assert status == 0, status
    go_on = False
    [one.join() for one in loads]
    assert o.flush(30)
    counts = o.counts()["writing"]
    assert counts.delivered == counts.emitted == sum(sent), (counts, sent)
    """
    code, delivered, told = run(program, tmp_path)

    assert code == 0, told
    assert delivered["child by child"] == 20 * 20
    assert delivered["main by main"] > 0
    assert set(delivered) == {"main by main", "child by child"}


@pytest.mark.fault("C11")
def test_children_that_are_terminated_at_any_moment_end(tmp_path: Path) -> None:
    program = """
    import multiprocessing, random, signal
    context = multiprocessing.get_context("fork")
    emit(1)
    def work(ready):
        emit(1)
        ready.set()
        time.sleep(60)
    for child in range(60):
        ready = context.Event()
        process = context.Process(target=work, args=(ready,))
        process.start()
        ready.wait(30) if child < 10 else time.sleep(random.random() * 0.01)
        process.terminate()
        process.join(60)
        assert process.exitcode in {143} if child < 10 else {143, -signal.SIGTERM}, process
    """
    code, delivered, told = run(program, tmp_path)

    assert (code, told) == (0, "")
    assert delivered["child by child"] >= 10


@pytest.mark.fault("C11")
def test_pool_that_is_terminated_does_not_wait_for_ever(tmp_path: Path) -> None:
    program = """
    import multiprocessing
    def work(number):
        emit(1, number)
    for _ in range(15):
        with multiprocessing.get_context("fork").Pool(4) as pool:
            pool.map(work, range(20))
    """
    code, _, told = run(program, tmp_path)

    assert code == 0
    assert told == "" or NO_THREAD_AT_THE_END


@pytest.mark.fault("C12")
def test_signal_while_a_process_forks_ends_it_nevertheless(tmp_path: Path) -> None:
    program = """
    import signal
    from hypervisor_observability.host import exits
    emit(10)
    exits._fork.begin()
    signal.raise_signal(signal.SIGTERM)
    exits._fork.end_in_parent()
    time.sleep(60)
    """
    found = run(program, tmp_path)

    assert found == (128 + signal.SIGTERM, Counter({"main by main": 10}), "")


def delivered_by_children(package: str, method: str, folder: Path) -> Counter[str]:
    """Have three processes of *package* emit 30 events each."""
    (folder / "their_work.py").write_text(
        PRELUDE
        + "o = Observability(plugins=[Writing()])\n"
        + "def work(_):\n    if o.states()['writing'] == 'new': o.start()\n    emit(30)\n"
    )
    program = f"""
    import {package}
    sys.path.insert(0, {str(folder)!r})
    import their_work
    if __name__ == "__main__":
        context = {package}.get_context({method!r})
        if {method == "fork"}:
            their_work.o.start()
        workers = [context.Process(target=their_work.work, args=(0,)) for _ in range(3)]
        [one.start() for one in workers]
        [one.join(60) for one in workers]
        assert [one.exitcode for one in workers] == [0, 0, 0]
    """
    start = f"sys.argv[1:] = [{str(folder / 'out')!r}]\n"
    code, delivered, told = run(program, folder, start=start)
    assert code == 0, told
    return delivered


@pytest.mark.fault("C11")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_of_multiprocessing_delivers_what_it_emits(method: str, tmp_path: Path) -> None:
    delivered = delivered_by_children("multiprocessing", method, tmp_path)

    assert delivered == Counter({"child by child": 90})


@pytest.mark.fault("C12")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_of_billiard_delivers_what_it_emits(method: str, tmp_path: Path) -> None:
    pytest.importorskip("billiard", reason="billiard is not installed")

    delivered = delivered_by_children("billiard", method, tmp_path)

    assert delivered == Counter({"child by child": 90})
