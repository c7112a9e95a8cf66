"""Plugins without a distribution: each a file ``NAME.py`` of a directory that the user names.

A file is read as a configuration is, and is run alone: nothing beside it can be imported because
of it, and no compiled copy of it is read or written.
"""

import hashlib
import inspect
import sys
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import CodeType, ModuleType, TracebackType

from attrs import frozen

from ..config.file import UnusableFile, read_text
from ..hookspecs import PROJECT_NAME
from ..text.error_text import line_of

MAX_FILE_BYTES = 1024 * 1024
"""Longest file that is run: what is longer is no single plugin."""


@frozen
class _Text(InspectLoader):
    """Runs the text that was read and checked, rather than what the file holds by then."""

    path: Path
    text: str

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - importlib's signature
        return self.text

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - importlib's signature
        return self.source_to_code(self.text, str(self.path))


@frozen
class PluginFile:
    """A file of the directory, which was not yet read; see ``discovery.FoundPlugin``.

    Attributes:
        path: Of the file.
    """

    path: Path
    distribution: None = None
    version: None = None

    @property
    def name(self) -> str:
        """The file's name, with ``-`` for ``_``."""
        return self.path.stem.replace("_", "-")

    @property
    def module(self) -> str:
        """The file, which is the module."""
        return str(self.path)

    origin = what = upgrade = module

    def load(self) -> type:
        """Run the file, and find the plugin's class in it.

        Raises:
            UnusableFile: It cannot be read, is world-writable, or has no class with a hook, or
                several; ``line`` is the one to blame.
        """
        try:
            text = read_text(self.path, max_bytes=MAX_FILE_BYTES, refuse_world_writable=True)
        except UnusableFile as error:
            raise UnusableFile(self._placed(error.line, str(error))) from None
        digest = hashlib.sha256(f"{self.path}\0{text}".encode()).hexdigest()
        name = f"{PROJECT_NAME}_plugin_{self.path.stem}_{digest[:12]}"
        module = sys.modules.get(name)
        if module is None:
            module = self._run(name, text)
        return self._class_of(module)

    def _run(self, name: str, text: str) -> ModuleType:
        loader = _Text(self.path, text)
        spec = ModuleSpec(name, loader, origin=str(self.path))
        spec.has_location = True  # gives the module its __file__
        module = module_from_spec(spec)
        # Annotations are looked up there.
        sys.modules[name] = module
        try:
            loader.exec_module(module)
        except SyntaxError as error:
            del sys.modules[name]
            raise UnusableFile(self._placed(error.lineno, f"SyntaxError: {error.msg}")) from error
        except Exception as error:
            del sys.modules[name]
            line = _line_in(error.__traceback__, str(self.path))
            raise UnusableFile(self._placed(line, line_of(error))) from error
        except BaseException:
            del sys.modules[name]
            raise
        return module

    def _class_of(self, module: ModuleType) -> type:
        own = [
            one
            for one in vars(module).values()
            if inspect.isclass(one) and one.__module__ == module.__name__ and _has_hooks(one)
        ]
        bases = {base for one in own for base in one.__mro__[1:]}
        own = [one for one in dict.fromkeys(own) if one not in bases]
        if not own:
            raise UnusableFile(
                f"{self.path}: no class in it has a hook: mark its methods with @hookimpl"
            )
        if len(own) > 1:
            names = " and ".join(one.__name__ for one in own)
            raise UnusableFile(f"{self.path}: there are several plugins, {names}: a file has one")
        return own[0]

    def _placed(self, line: int | None, message: str) -> str:
        return f"{self.path}: {message}" if line is None else f"{self.path}:{line}: {message}"


def plugin_files(directory: Path) -> list[PluginFile]:
    """Give the plugins of *directory*: files ``NAME.py`` whose names do not begin with ``_``."""
    return [
        PluginFile(path)
        for path in sorted(directory.glob("*.py"))
        if not path.name.startswith(("_", "."))
    ]


def _has_hooks(kind: type) -> bool:
    methods = (inspect.getattr_static(kind, name, None) for name in dir(kind))
    plain = (getattr(method, "__func__", method) for method in methods)
    return any(inspect.getattr_static(one, f"{PROJECT_NAME}_impl", None) for one in plain)


def _line_in(traceback: TracebackType | None, path: str) -> int | None:
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == path:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
