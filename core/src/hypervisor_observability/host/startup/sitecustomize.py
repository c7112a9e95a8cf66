"""What every Python process below ``hvobs run`` begins with. Python imports it by its name.

It stands in a folder of its own on PYTHONPATH, so any Python may come here, of another version
or without this package: nothing is imported but what waits for the import of a framework.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_VARIABLE = "HYPERVISOR_OBSERVABILITY_RUN"
_CHILDREN = "HYPERVISOR_OBSERVABILITY_RUN_CHILDREN"
_LAUNCH = "hypervisor_observability.host.launch"


def _run_the_hidden_one() -> None:
    """Import the ``sitecustomize`` that there would be without this one."""
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != _HERE]
    from importlib.util import find_spec, module_from_spec

    own = sys.modules.pop("sitecustomize")
    try:
        spec = find_spec("sitecustomize")
        if spec is not None and spec.loader is not None:
            hidden = module_from_spec(spec)
            sys.modules["sitecustomize"] = hidden
            spec.loader.exec_module(hidden)
    finally:
        sys.modules.setdefault("sitecustomize", own)


def _wait_for_frameworks() -> None:
    """Have the observability start as soon as a framework is imported."""
    launch = os.environ.get(_VARIABLE, "")
    told = launch.split(":", 2)
    if sys.version_info < (3, 11) or len(told) < 3:
        return
    from importlib.util import module_from_spec, spec_from_file_location

    path = os.path.join(os.path.dirname(_HERE), "sources", "post_import.py")
    spec = spec_from_file_location("_hvobs_post_import", path)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    watching = module.PostImport()
    pid, targets = told[0], told[1].split(",")
    if pid == str(os.getpid()):
        import atexit

        atexit.register(_tell_nothing, pid, [one for one in targets if one])
    for target in targets:
        if target:
            watching.when_imported(target, lambda _: _begin(launch))
        else:  # a source that waits for nothing
            _begin(launch)


def _begin(launch: str) -> None:
    try:
        from hypervisor_observability.host.launch import begin
    except ImportError:  # the Python of another environment
        return
    begin(launch)


def _tell_nothing(pid: str, targets: list[str]) -> None:
    """Say at the end of the program what its children saw, where it has seen nothing itself."""
    if pid != str(os.getpid()) or _LAUNCH in sys.modules or sys.stderr is None:
        return
    if os.path.exists(os.environ.get(_CHILDREN, "")):
        from hypervisor_observability.host.launch import tell_unseen

        tell_unseen()
        return
    try:
        sys.stderr.write(
            "hvobs run: nothing was seen: no framework of a source was imported"
            f" (waited for {' or '.join(targets)})\n"
        )
    except (OSError, ValueError):  # nobody reads it, or it is closed
        return


try:
    _run_the_hidden_one()
finally:
    try:
        _wait_for_frameworks()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong here, the program runs
        sys.stderr.write(f"hvobs run: this process is not observed: {error}\n")
