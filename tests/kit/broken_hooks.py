"""Plugins that are wrong before they send anything, with the tests in which that shows."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from attrs import define, field, frozen

from hypervisor_observability import HypervisorEvent, PluginContext, hookimpl
from tests.kit.post_plugin import PostConfig, PostPlugin

FAULTS: dict[type[PostPlugin], set[str]] = {}


def fails(*tests: str) -> Any:
    """Say in which tests a plugin fails, and in no others."""

    def note(plugin: type[PostPlugin]) -> type[PostPlugin]:
        FAULTS[plugin] = set(tests)
        return plugin

    return note


@fails("hooks_are_spelt_right")
class MisspeltHook(PostPlugin):
    @hookimpl
    def export_event(self, events: Sequence[HypervisorEvent]) -> None: ...


@fails("hooks_are_spelt_right")
class WrongArguments(PostPlugin):
    @hookimpl
    def export_events(self, batch: Sequence[HypervisorEvent]) -> None: ...


@fails("hooks_are_spelt_right")
class LostMark(PostPlugin):
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        super().export_events(events)


@fails("hooks_are_spelt_right")
class GeneratorHook(PostPlugin):
    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> Iterator[None]:  # type: ignore[override]  # the fault
        self.post(self.body(events))
        yield


@fails("constructor_does_no_work")
class OpensSocketInConstructor(PostPlugin):
    def __init__(self, config: PostConfig) -> None:
        super().__init__(config)
        socket.socket().close()


@fails("constructor_does_no_work")
class StartsThreadInConstructor(PostPlugin):
    def __init__(self, config: PostConfig) -> None:
        super().__init__(config)
        thread = threading.Thread(target=str)
        thread.start()
        thread.join()


@fails("constructor_does_no_work")
class ReadsFileInConstructor(PostPlugin):
    def __init__(self, config: PostConfig) -> None:
        super().__init__(config)
        with contextlib.suppress(OSError):
            Path("/etc/hostname").read_bytes()


@fails("config_is_the_same_each_time_it_is_read")
class ConfigThatChanges(PostPlugin):
    @define
    class Config:
        host: str = "127.0.0.1"


_numbers = itertools.count()


@fails("config_is_the_same_each_time_it_is_read")
class ConfigThatDraws(PostPlugin):
    @frozen
    class Config:
        client: int = field(factory=lambda: next(_numbers))


@fails("config_takes_its_keys_and_no_others")
class ConfigThatAsks(PostPlugin):
    @frozen
    class Config:
        host: str


@fails("config_takes_its_keys_and_no_others")
class ConfigThatTakesAnything(PostPlugin):
    class Config(dict[str, Any]):
        """No class with a field for each key."""


@fails("secrets_of_config_have_their_type")
class ConfigWithOpenToken(PostPlugin):
    @frozen
    class Config:
        api_token: str = ""
        password: str | None = None


@fails("secrets_are_in_no_log_repr_or_error")
class LogsItsHeaders(PostPlugin):
    @hookimpl
    def start(self, context: PluginContext) -> None:
        super().start(context)
        context.logger.debug("headers: %s", self.headers())


@fails("secrets_are_in_no_log_repr_or_error")
class ShowsTokenInRepr(PostPlugin):
    def __repr__(self) -> str:
        return f"<{self.config.host} {self.config.token.reveal()}>"


@fails("secrets_are_in_no_log_repr_or_error")
class TellsTokenInErrors(PostPlugin):
    def judge(self, status: int, wait: str | None) -> None:
        try:
            super().judge(status, wait)
        except Exception as error:
            error.add_note(f"sent with {self.headers()}")
            raise


@fails("secrets_are_in_no_log_repr_or_error")
class TellsTokenInCheck(PostPlugin):
    @hookimpl
    def check(self, context: PluginContext) -> str:
        return f"http://user:{self.config.token.reveal()}@{self.config.host}"


@fails("stop_without_start_is_quiet")
class StopNeedsStart(PostPlugin):
    @hookimpl
    def stop(self) -> None:
        assert self._context is not None
        super().stop()


@fails("stop_twice_is_quiet")
class StopsOnce(PostPlugin):
    stopped = False

    @hookimpl
    def stop(self) -> None:
        if self.stopped:
            raise RuntimeError("stopped already")
        self.stopped = True
        super().stop()


@fails("nothing_to_send_is_no_fault")
class FlushNeedsABatch(PostPlugin):
    last: Sequence[HypervisorEvent] | None = None

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.last = events
        super().export_events(events)

    @hookimpl
    def flush(self) -> None:
        if self.last is None:
            raise ValueError("nothing to flush")


@fails("nothing_is_left_after_stop")
class LeavesThread(PostPlugin):
    @hookimpl
    def start(self, context: PluginContext) -> None:
        super().start(context)
        threading.Thread(target=threading.Event().wait, args=(30,), daemon=True).start()


@fails("nothing_is_left_after_stop")
class LeavesSocket(PostPlugin):
    kept: ClassVar[list[Any]] = []

    @hookimpl
    def start(self, context: PluginContext) -> None:
        super().start(context)
        self.kept.append(socket.socket())


@fails("process_is_afterwards_as_it_was_before")
class SetsDefaultTimeout(PostPlugin):
    @hookimpl
    def start(self, context: PluginContext) -> None:
        super().start(context)
        socket.setdefaulttimeout(45)


@fails("nothing_is_printed")
class Prints(PostPlugin):
    @hookimpl
    def start(self, context: PluginContext) -> None:
        super().start(context)
        print("connected")
