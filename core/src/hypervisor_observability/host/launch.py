"""How a program is run that knows nothing of us: ``hvobs run``, and the processes below it.

The program is executed by the interpreter itself, in the process of ``hvobs run``, so arguments,
tracebacks, exit codes and signals are what they are without us. A folder with a ``sitecustomize``
is put before PYTHONPATH: in each Python process below, it waits for the import of a framework.
Only then is the observability made, from the configuration that the environment names.
"""

import atexit
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from ..config import disabled
from ..text.error_text import line_of
from ..text.limited_log import say
from ..text.terminal_text import escape
from ..threads.interruptions import is_of_application
from . import run_children
from .missed import unkept
from .run_children import Children

if TYPE_CHECKING:
    from .observability import Observability

VARIABLE = "HYPERVISOR_OBSERVABILITY_RUN"
STARTUP = Path(__file__).with_name("startup")
_NOT_HERE = "what lets you in is told on terminals alone"


@frozen
class Launch:
    """What a process is told of ``hvobs run``.

    Attributes:
        pid: Of the program itself; all others are its children.
        targets: Modules whose import has the observability start; an empty name: at once.
        config_file: The configuration.
    """

    pid: int
    targets: tuple[str, ...]
    config_file: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Launch | None":
        """Read it from the environment; None if it is not there, or not whole."""
        pid, _, rest = environ.get(VARIABLE, "").partition(":")
        targets, _, path = rest.partition(":")
        if not pid.isdecimal() or not path:
            return None
        return cls(int(pid), tuple(targets.split(",")), Path(path))

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Give *environ* with it, and with the folder that has it read."""
        path = environ.get("PYTHONPATH", "")
        # An empty folder is the working directory, but an empty variable is none.
        folders = [one for one in path.split(os.pathsep) if one != str(STARTUP)] if path else []
        return {
            **environ,
            "PYTHONPATH": os.pathsep.join([str(STARTUP), *folders]),
            VARIABLE: f"{self.pid}:{','.join(self.targets)}:{self.config_file}",
        }


def execute(arguments: Sequence[str], config_file: Path, targets: Iterable[str]) -> int:
    """Have the interpreter run what *arguments* say, in place of this program.

    Args:
        arguments: Those of the interpreter: a script or ``-m MODULE``, and what follows.
        config_file: The configuration.
        targets: What its sources wait for.

    Returns:
        The exit code, on Windows. Elsewhere nothing: this program is no more.

    Raises:
        OSError: The interpreter cannot be executed.
    """
    launch = Launch(os.getpid(), tuple(targets), config_file.absolute())
    command = [sys.executable, *arguments]
    environ = launch.environment({**os.environ, run_children.VARIABLE: run_children.new_path()})
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execve(sys.executable, command, environ)  # noqa: S606 - without a shell, as intended
    import subprocess

    return subprocess.run(command, env=environ, check=False).returncode  # noqa: S603 - what the user typed


_turn = [None]
"""Whoever pops it begins: two threads may import two frameworks at once."""


def begin(told: str) -> None:
    """Start the observability of this process, once. Nothing is raised on account of it.

    A process that was forked from one which has begun goes on with what it has.

    Args:
        told: What the variable held when this process began: it may be gone by now, as where a
            test empties the environment.

    Raises:
        BaseException: Ctrl-C, and what else a signal handler raised.
    """
    launch = Launch.of({VARIABLE: told})
    if launch is None or disabled():
        return
    try:
        _turn.pop()
    except IndexError:
        return
    hidden = os.environ.pop(VARIABLE, None)  # a plugin may start a Python process of its own
    try:
        _start(launch)
    except BaseException as error:  # even SystemExit: it is a plugin's
        if is_of_application(error):
            raise
        say(__name__, "error", "hvobs run: this process is not observed: %s", line_of(error))
    finally:
        if hidden is not None:
            os.environ[VARIABLE] = hidden


def _start(launch: Launch) -> None:
    from .observability import Observability
    from .sources.source import somebody_observes

    if somebody_observes():
        if os.getpid() == launch.pid:
            say(
                __name__,
                "warning",
                "hvobs run: sources of the program's own are on: they alone see it",
            )
        return
    observability = Observability.from_config(launch.config_file)
    pid = os.getpid()
    if pid == launch.pid:
        # Handlers of the end run backwards: this one when all is delivered.
        atexit.register(_tell, observability, pid)
    else:
        _note_first_event(observability)
    observability.start()
    if pid == launch.pid:
        _tell_pages(observability)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(_note_first_event, observability))


def _tell_pages(observability: "Observability") -> None:
    """Say where the program can be watched; what lets one in is for a terminal, and for no file."""
    try:
        seen_by_people = sys.stderr is not None and sys.stderr.isatty()
    except (OSError, ValueError):  # it is closed
        return
    for name, url in observability.page_urls().items():
        told = url if seen_by_people else f"{_server_of(url)} ({_NOT_HERE})"
        _say(f"hvobs run: {name} shows what happens: {told}")


def _server_of(url: str) -> str:
    """Give scheme, host and port: everything else may hold a secret."""
    scheme, _, rest = url.partition("://")
    for mark in "/?#":
        rest = rest.partition(mark)[0]
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _note_first_event(observability: "Observability") -> None:
    """Have the program know of this process, a child of its own, as soon as it emits an event."""

    def noted(_event: object) -> None:
        first.cancel()
        store = observability.status()["store"]
        name = "" if store is None else store["name"]
        run_children.note(os.environ.get(run_children.VARIABLE, ""), name)

    first = observability.bus.subscribe(None, noted)


def _tell(observability: "Observability", pid: int) -> None:
    """Say in a line what was seen, at the end of the program; not at that of a fork's child."""
    if os.getpid() == pid:
        children = run_children.take(os.environ.get(run_children.VARIABLE, ""))
        _say(summary(observability, children))


def tell_unseen() -> None:
    """Say likewise of a program that has imported no framework itself."""
    children = run_children.take(os.environ.get(run_children.VARIABLE, ""))
    _say(f"hvobs run: {_of(children)} seen; {_kept(children.store)}")


def _say(line: str) -> None:
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"{escape(line)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody reads it, or it is closed
        return


_UNREAD = "no plugin reads them: [plugins.journal] in the configuration would keep them"


def summary(observability: "Observability", children: Children) -> str:
    """Say what an observability and the *children* of its process have seen, and where it is."""
    events = observability.bus.emitted
    kept = observability.bus.query()
    agents = {event.agent_did for event in kept} - {None}
    status = observability.status()
    store = children.store if status["store"] is None else status["store"]["name"]
    if not events and children.count:
        return f"hvobs run: {_of(children)} seen; {_kept(store)}"
    if not events:
        states = observability.states()
        sources = [f"{name} {_at_the_end(states[name])}" for name in status["sources"]]
        why = f" ({', '.join(sources)})" if sources else ": no source is on"
        return f"hvobs run: nothing was seen{why}"
    traces = [event.causal_trace_id for event in kept if event.causal_trace_id is not None]
    urls = observability.trace_urls(str(traces[-1]).partition("/")[0]) if traces else {}
    told, counts = [], observability.counts()
    for name, one in status["plugins"].items():
        if missed := counts[name].missed:
            told.append(f"{name} lacks {sum(missed.values())} of {counts[name].wanted}")
            continue
        where = f" (the last trace: {urls[name]})" if name in urls and one["delivered"] else ""
        told.append(f"{name} has {one['delivered']}{where}")
    if store:
        lost = 0 if status["store"] is None else unkept(status["store"], events)
        told.append(_kept(store) if lost < events else f"{store} could not keep them")
    seen = f"{_number(events, 'event')} of {_number(len(agents), 'agent')}"
    if children.count:
        seen += f", and {_of(children)},"
    return f"hvobs run: {seen} seen; {'; '.join(told) or _UNREAD}"


def _at_the_end(state: str) -> str:
    """Say how a source was until the program ended: what was up has been stopped by then."""
    return "was up" if state == "stopped" else state


def _of(children: Children) -> str:
    return f"events of {_number(children.count, 'child process', 'child processes')}"


def _kept(store: str) -> str:
    return f"{store} keeps them, 'hvobs tree' shows them" if store else "no store keeps them"


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one}" if count == 1 else f"{count} {many or one + 's'}"
