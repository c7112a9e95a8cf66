"""The contract with a source: a plugin that turns a framework's work into events.

A source has the hooks ``instrument`` and ``uninstrument`` (see
:mod:`hypervisor_observability.hookspecs`), and says in class attributes what it waits for::

    class AcmeSource:
        Config = AcmeConfig
        targets = ("acme_agents",)
        supports = ">=1.0,<2"

- ``targets``: names of modules. The source is instrumented once, when the import of the first of
  them ends; at once if that was imported before, or if there is none. A framework that is never
  imported costs nothing.
- ``supports``: versions of the framework, such as ``>=1.0,<2`` or ``~=2.1``. Any other: one
  warning, ``..._source_up 0``, and the application runs. A mapping gives each target a range of
  its own.
- ``each_target``: true if the source is instrumented for each target that is imported, rather than
  for the first. It is uninstrumented once, for all.
- ``distribution``: whose version that is, where its name is not that of the target: for the target
  ``agents``, say ``openai-agents``. A tuple, where several distributions bring that module: the
  first that is installed.

The user's table has the keys ``content``, which ``SourceContext.content_of`` keeps to, and
``agents``, which ``SourceContext.did_of`` asks.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from attrs import frozen

from .config.plugin_tables import Content
from .events.ids import as_text
from .recorder import Recorder
from .threads.interruptions import is_from_handler

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# Ctrl-C, cancellation and the closing of a generator are the application's, whoever is struck.
_OURS = (Exception, SystemExit)


@frozen(kw_only=True, eq=False)
class SourceContext:
    """What a source is told about its surroundings.

    Attributes:
        name: The name of its table.
        service: ``service`` of the configuration.
        logger: A logger of its own.
        recorder: Writes events. It may be called from any thread, and after ``uninstrument``.
        content: ``content`` of the table: ``"none"``, ``"names"`` or ``"all"``.
        target: The one of ``targets`` whose import this is about; empty where there are none.
        version: Of the framework; empty where ``supports`` does not ask for it.
        agents: ``agents`` of the table: ids of agents by name.
        others: Gives the targets of the other sources that are up in this process.
        failed: Called with what a guarded callback raised, and the callback's name.
        active: Whether ``uninstrument`` has not been called yet.
    """

    name: str
    service: str
    logger: logging.Logger
    recorder: Recorder
    content: Content
    target: str
    version: str
    agents: Mapping[str, str]
    others: Callable[[], Iterable[str]]
    failed: Callable[[str, BaseException], object]
    active: Callable[[], bool]

    def guarded(self, callback: Callable[Arguments, Result]) -> Callable[Arguments, Result | None]:
        """Make a *callback* that the framework may call: what it raises does not reach it.

        It is logged at a limited rate and counted, and the framework gets None. Once the source
        is uninstrumented, nothing is called: a framework need not be able to forget a callback.
        A coroutine function becomes one. Guard what observes alone, never a call of the
        framework's own, whose exceptions belong to the application.

        Raises:
            TypeError: It is a generator function, whose body cannot be guarded.
        """
        return guarded(callback, failed=self.failed, active=self.active)

    def did_of(self, name: object) -> str:
        """Give the id of an agent: what the user's table says of its *name*, else the name."""
        text = as_text(name)
        return self.agents.get(text, text)

    def observed_elsewhere(self, module: str) -> bool:
        """Tell whether another source that is up in this process observes *module*.

        It does if the module is one of its ``targets``, or stands below one. A source that sees
        the work of many frameworks leaves that one alone: its own source knows more, and what both
        record would count twice. Ask at each call: the other source may come up later.
        """
        return any(module == one or module.startswith(f"{one}.") for one in self.others())

    def content_of(self, **parts: object) -> dict[str, object]:
        """Give those *parts* of a call that may go into a payload.

        Of ``content_of(arguments={"city": "Oslo"}, prompt="Hello")`` that is nothing where
        ``content`` is ``"none"``; ``{"arguments": ["city"]}`` where it is ``"names"``; and
        everything where it is ``"all"``. What stays is redacted like every payload.
        """
        if self.content == "all":
            return parts
        if self.content == "none":
            return {}
        return {
            key: [str(name) for name in part]
            for key, part in parts.items()
            if isinstance(part, Mapping)
        }


def guarded(
    callback: Callable[Arguments, Result],
    *,
    failed: Callable[[str, BaseException], object],
    active: Callable[[], bool] = lambda: True,
) -> Callable[Arguments, Result | None]:
    """Do what ``SourceContext.guarded`` does, for code without such a context.

    Args:
        callback: What is called.
        failed: Called with its name and what it raised.
        active: Whether it is to be called at all.

    Raises:
        TypeError: It is a generator function.
    """
    name = getattr(callback, "__qualname__", type(callback).__qualname__)
    _refuse_generators(name, callback)
    if _is(inspect.iscoroutinefunction, callback):
        awaited = cast("Callable[Arguments, Awaitable[Any]]", callback)

        @wraps(callback)
        async def waiting(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Any:
            if active():
                try:
                    return await awaited(*args, **kwargs)
                except _OURS as error:
                    if is_from_handler(error):
                        raise
                    failed(name, error)
            return None

        return cast("Callable[Arguments, Result | None]", waiting)

    @wraps(callback)
    def calling(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result | None:
        if active():
            try:
                return callback(*args, **kwargs)
            except _OURS as error:
                if is_from_handler(error):
                    raise
                failed(name, error)
        return None

    return calling


def _refuse_generators(name: str, callback: Callable[..., object]) -> None:
    if _is(inspect.isgeneratorfunction, callback) or _is(inspect.isasyncgenfunction, callback):
        raise TypeError(f"{name} is a generator function, which cannot be guarded")


def _is(kind: Callable[[object], bool], callback: Callable[..., object]) -> bool:
    """Whether a callback is a function of that *kind*, or an object that is called by one."""
    return kind(callback) or kind(inspect.getattr_static(type(callback), "__call__", None))
