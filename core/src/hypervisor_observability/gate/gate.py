"""The gate itself: event by event, between the log and whatever leaves the process."""

from collections.abc import Iterable
from typing import Any

from ..config import RedactionConfig
from ..events.event import HypervisorEvent, raw_payload, with_payload
from ..text.utf8_text import encodable
from ..threads.interruptions import is_from_handler
from .normal_form import NormalForm
from .redaction import Redaction
from .secret_names import DEFAULT_KEYS
from .token_patterns import DEFAULT_PATTERNS

_INFINITY = float("inf")
_MAX_REMEMBERED = 4_096  # keys, and texts
_SHORT_TEXT = 64  # characters of what is remembered, once it was found harmless
_HARMLESS_KINDS = frozenset({bool, int, type(None)})
_IDS = ("event_id", "session_id", "agent_did", "causal_trace_id", "parent_event_id")


class Gate:
    """Let events pass in normal form, without secrets. It may be used from many threads.

    Args:
        enabled: Whether secrets are taken out; the normal form is made all the same.
        keys: Names of keys whose values are secrets.
        patterns: Regular expressions for secrets in text.

    Raises:
        ValueError: A pattern is not a regular expression.
    """

    def __init__(
        self,
        *,
        enabled: bool = True,
        keys: Iterable[str] = DEFAULT_KEYS,
        patterns: Iterable[str] = DEFAULT_PATTERNS,
    ) -> None:
        self._redaction = Redaction(keys, patterns) if enabled else None
        # Nearly all payloads have keys that others had before.
        self._harmless_keys: set[str] = set()
        # And most texts are short ones that came before.
        self._harmless_texts: set[str] = set()
        self.redacted = 0
        """Values redacted so far, counted for each reader."""
        self.failed = 0
        """Payloads held back whole, because looking at them failed."""

    @classmethod
    def of(cls, config: RedactionConfig) -> "Gate":
        """Make the gate that a configuration asks for, with the shipped keys and patterns."""
        return cls(
            enabled=config.enabled,
            keys=(*DEFAULT_KEYS, *config.keys),
            patterns=(*DEFAULT_PATTERNS, *config.patterns),
        )

    def admit(self, event: HypervisorEvent) -> HypervisorEvent:
        """Give *event* as it may leave; the same object where nothing has to change.

        Never raises. Whatever goes wrong costs the payload, which then holds the exception's
        type under ``_gate`` and nothing else.
        """
        try:
            if self._is_harmless(event):
                return event
            form = NormalForm(self._redaction)
            admitted = with_payload(event, form.dict(raw_payload(event)), **_odd_ids(event))
        except Exception as error:  # fails closed, whatever it was
            if is_from_handler(error):
                raise
            self.failed += 1
            return with_payload(event, {"_gate": type(error).__name__})
        self.redacted += form.redacted
        return admitted

    def _is_harmless(self, event: HypervisorEvent) -> bool:
        """Check the common case: a payload of one level, plain, without secrets."""
        if _odd_ids(event):
            return False
        harmless_keys, harmless_texts = self._harmless_keys, self._harmless_texts
        for key, value in raw_payload(event).items():
            if key not in harmless_keys and not self._is_harmless_key(key):
                return False
            kind = type(value)
            if kind is str:
                if value not in harmless_texts and not self._is_harmless_text(value):
                    return False
            elif kind is float:
                if not -_INFINITY < value < _INFINITY:
                    return False
            elif kind not in _HARMLESS_KINDS:
                return False
        return True

    def _is_harmless_text(self, text: str) -> bool:
        if not text.isascii() and encodable(text) != text:
            return False
        if self._redaction is not None and self._redaction.in_text(text):
            return False
        _remember(text, self._harmless_texts)
        return True

    def _is_harmless_key(self, key: object) -> bool:
        if type(key) is not str or encodable(key) != key:
            return False
        redaction = self._redaction
        if redaction is not None and (redaction.hides(key) or redaction.in_text(key)):
            return False
        _remember(key, self._harmless_keys)
        return True


def _remember(text: str, harmless: set[str]) -> None:
    if len(text) <= _SHORT_TEXT:
        if len(harmless) >= _MAX_REMEMBERED:
            harmless.clear()
        harmless.add(text)


def _odd_ids(event: HypervisorEvent) -> dict[str, Any]:
    """Give those ids that UTF-8 cannot carry, as they can be carried."""
    session_id, agent_did = event.session_id, event.agent_did
    if (
        (session_id is None or session_id.isascii())
        and (agent_did is None or agent_did.isascii())
        and (event.causal_trace_id is None or event.causal_trace_id.isascii())
        and (event.parent_event_id is None or event.parent_event_id.isascii())
    ):
        return {}
    found = {name: getattr(event, name) for name in _IDS}
    return {
        name: encodable(text)
        for name, text in found.items()
        if text is not None and encodable(text) != text
    }
