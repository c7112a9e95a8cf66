"""Work in several threads at once, and the threads in which plugins have event loops."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

WIDE_SECONDS = 60


def loop_threads() -> list[str]:
    """Give the names of threads in which event loops of plugins run."""
    return [one.name for one in threading.enumerate() if one.name.endswith("-loop")]


def all_at_once(*actions: Callable[[], object]) -> None:
    """Run each action in a thread of its own; once all have ended, raise what the first one raised
    that failed.
    """
    with ThreadPoolExecutor(len(actions)) as pool:
        for done in [pool.submit(action) for action in actions]:
            done.result()


def run_in_threads(*targets: Callable[[], object]) -> None:
    """Run each target in a thread of its own, and wait until all have ended."""
    threads = [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WIDE_SECONDS)
        assert not thread.is_alive(), f"{thread.name} has not ended within {WIDE_SECONDS} s"
