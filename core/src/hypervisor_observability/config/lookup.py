"""Find the configuration file, and decide whether to trust it."""

import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError, ConfigProblem
from .file import UnusableFile, check_not_world_writable, open_regular
from .paths import check_plugins_directory

FILE_NAME = "hypervisor.toml"
FILE_VARIABLE = "HYPERVISOR_OBSERVABILITY_CONFIG"
DISABLED_VARIABLE = "HYPERVISOR_OBSERVABILITY_DISABLED"
PLUGINS_DIR_VARIABLE = "HYPERVISOR_OBSERVABILITY_PLUGINS_DIR"
VARIABLES = (FILE_VARIABLE, DISABLED_VARIABLE, PLUGINS_DIR_VARIABLE)
"""All variables of the library; any other one with its prefix is the user's own, or a mistake."""


def find_config(
    explicit: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    working_directory: Path | None = None,
) -> Path | None:
    """Find the configuration file.

    Args:
        explicit: The path that the user gave, if one.
        environ: Where ``HYPERVISOR_OBSERVABILITY_CONFIG`` is looked up; the process's own
            variables unless given. Empty counts as not set.
        working_directory: Where ``hypervisor.toml`` is looked for last. Only the command
            line looks there; None does not.

    Returns:
        The path, which can be read and is trusted; None if there is no file.

    Raises:
        ConfigError: A named file is missing, no regular file, or world-writable; or the one in
            the working directory is a link or belongs to another user than root.
    """
    environ = os.environ if environ is None else environ
    named = explicit if explicit is not None else environ.get(FILE_VARIABLE) or None
    if named is not None:
        path = Path(named)
    elif working_directory is not None and os.path.lexists(working_directory / FILE_NAME):
        path = working_directory / FILE_NAME
    else:
        return None
    try:
        _check(path, named=named is not None)
    except UnusableFile as error:
        raise ConfigError([ConfigProblem(str(path), None, "", str(error))]) from None
    return path


def disabled(environ: Mapping[str, str] | None = None) -> bool:
    """Whether ``HYPERVISOR_OBSERVABILITY_DISABLED`` is ``true``, in any case of letters."""
    environ = os.environ if environ is None else environ
    return environ.get(DISABLED_VARIABLE, "").strip().lower() == "true"


def plugins_directory(configured: Path | None) -> Path | None:
    """Give the directory of plugins that are single files: the one that
    ``HYPERVISOR_OBSERVABILITY_PLUGINS_DIR`` names, else that of the configuration.

    Raises:
        ConfigError: It is missing, not a directory, or world-writable.
    """
    named = os.environ.get(PLUGINS_DIR_VARIABLE)
    path = Path(named) if named else configured
    if path is not None:
        try:
            check_plugins_directory(path)
        except ValueError as error:
            source = PLUGINS_DIR_VARIABLE if named else "plugins_dir"
            raise ConfigError([ConfigProblem(source, None, "", str(error))]) from None
    return path


def _check(path: Path, *, named: bool) -> None:
    """Check a configuration file; where the user named a link, check its target.

    Another user may have put a file into the working directory, so one that nobody named must
    belong to the user or to root, and must not be a symbolic link.

    Raises:
        UnusableFile: It cannot be opened, is not a regular file, is world-writable, or is one of
            those that have to be named.
    """
    if not named and path.is_symlink():
        msg = "the file is a symbolic link; name it with --config if it is yours"
        raise UnusableFile(msg)
    descriptor = open_regular(path, 0 if named else getattr(os, "O_NOFOLLOW", 0))
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    check_not_world_writable(status)
    if not named and os.name == "posix" and status.st_uid not in {os.geteuid(), 0}:
        msg = "the file belongs to another user; name it with --config if you trust it"
        raise UnusableFile(msg)
