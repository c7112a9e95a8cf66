"""What a plugin must not show."""

import traceback
from collections.abc import Callable
from unittest import SkipTest

from ..host.plugin import Plugin
from .listening import Heard, listening
from .plugin_config_contract import secrets_of
from .plugin_samples import ids
from .plugin_tests import PluginTests
from .receiver import Fault

_FAULTS = (Fault.REFUSED, Fault.UNANSWERED, Fault.ERROR)
"""Those that are told at once."""


class SecretsContract(PluginTests):
    """Tests of where secrets could show."""

    def test_secrets_are_in_no_log_repr_or_error(self) -> None:
        """Neither while all is well, nor in what is said of a failure."""
        with self.prepared(), listening() as heard:
            plugin = self.plugin()
            secrets = [*self.secrets, *secrets_of(getattr(plugin.instance, "config", None))]
            if not any(secrets):
                raise SkipTest(
                    "there is no secret: give one to make_plugin(), or name it in secrets"
                )
            self._use(plugin, heard)
            if self.receiver is not None:
                for fault in _FAULTS:
                    if fault in self.receiver.faults:
                        with self.receiver.failing(fault):
                            self._use(self.plugin(), heard)
        for where, text in heard.texts:
            shown = any(secret and secret in text for secret in secrets)
            assert not shown, (
                f"{where} shows a secret: keep it in a hypervisor_observability.config.Secret, give"
                " logs and errors the host alone, and never a whole URL, header or configuration"
            )

    def _use(self, plugin: Plugin, heard: Heard) -> None:
        heard.take("repr(plugin)", lambda: repr(plugin.instance))
        heard.take("str(plugin)", lambda: str(plugin.instance))
        heard.take("repr(plugin.config)", lambda: repr(getattr(plugin.instance, "config", None)))
        if "check" in plugin.hooks:
            self._call("check", lambda: plugin.ask("check", context=self.context()), heard)
        self._call("start", lambda: plugin.start(self.context()), heard)
        for hook, call in self.hooks(plugin, ids(2, group=30)).items():
            self._call(hook, call, heard)
        heard.take("repr(plugin) after start()", lambda: repr(plugin.instance))
        self._call("stop", plugin.stop, heard)

    def _call(self, hook: str, function: Callable[[], object], heard: Heard) -> None:
        given: list[object] = []
        error = self.call(hook, lambda: given.append(function())).error
        heard.take(f"what {hook} returned", lambda: str(given))
        if error is not None:
            said = "".join(traceback.format_exception(error))
            heard.take(f"what {hook} raised", lambda: f"{said}\n{error!r}")
