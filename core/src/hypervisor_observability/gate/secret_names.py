"""Which names belong to secrets: of payload keys, and of what a text assigns."""

import re
from collections.abc import Iterable

DEFAULT_KEYS = (
    "access_key",
    "access_token",
    "account_key",
    "amz_signature",
    "api_key",
    "api_keys",
    "apikey",
    "apikeys",
    "auth",
    "auth_token",
    "authorization",
    "bearer",
    "client_secret",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "csrf",
    "csrf_token",
    "db_pass",
    "encryption_key",
    "jwt",
    "mail_pass",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "private_key",
    "pwd",
    "refresh_token",
    "secret",
    "secrets",
    "session_token",
    "signing_key",
    "smtp_pass",
    "token",
    "user_pass",
    "xsrf",
)
"""Names whose values are secrets. A key has such a name if its words occur in it in a row
(``userPassword``, ``X-Api-Key``); of eight letters or more, anywhere in it."""

# A name beside one of these words is a measurement, or says what kind of secret it is.
_MEASURED_BEFORE = frozenset({
    "bos", "cached", "completion", "decoded", "eos", "first", "has", "input", "is", "last",
    "mask", "max", "min", "needs", "no", "num", "number", "output", "pad", "per", "prompt",
    "reasoning", "requires", "sampled", "sep", "special", "stop", "total", "unk",
})  # fmt: skip
_MEASURED_AFTER = frozenset({
    "age", "alg", "at", "attempts", "bucket", "budget", "changed", "cost", "count", "counts",
    "days", "details", "disabled", "enabled", "endpoint", "error", "expiration", "expired",
    "expires", "expiry", "hours", "index", "invalid", "kind", "latency", "len", "length",
    "lifetime", "limit", "limits", "method", "methods", "minutes", "mode", "ms", "name",
    "names", "offset", "policy", "position", "price", "provider", "rate", "required",
    "rotation", "scheme", "score", "seconds", "size", "status", "strength", "time", "total",
    "ttl", "type", "types", "uri", "url", "usage", "used", "valid",
})  # fmt: skip
_LONG_NAME = 8
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+")
_MAX_REMEMBERED = 4_096  # names
_SHORT_NAME = 64  # characters of a name that is remembered
_MAX_NAME = 256  # characters of a name that are looked at: its last ones


class SecretNames:
    """Tell names of secrets from others. Answers are remembered, within bounds.

    Args:
        names: Names of secrets, in any spelling.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = [words for words in map(_words, names) if words]
        together = {"".join(words) for words in self._names}
        long_names = [name for name in together if len(name) >= _LONG_NAME]
        # "passwords" would take the "s" of "password_strength" for its own.
        self._long_names = [
            name for name in long_names if not any(one in name for one in long_names if one != name)
        ]
        self._known: dict[str, bool] = {}

    @property
    def marks(self) -> tuple[str, ...]:
        """Texts of which each name holds at least one, in lower case."""
        marks = {words[-1] for words in self._names}
        return tuple(mark for mark in marks if not any(one in mark for one in marks - {mark}))

    def __contains__(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            known = self._is_secret(_words(name[-_MAX_NAME:]))
            if len(name) <= _SHORT_NAME:
                if len(self._known) >= _MAX_REMEMBERED:
                    self._known.clear()
                self._known[name] = known
        return known

    def _is_secret(self, words: list[str]) -> bool:
        for name in self._names:
            for start in range(len(words) - len(name) + 1):
                end = start + len(name)
                if words[start:end] == name and not _measured(words, start, end):
                    return True
        together = "".join(words)
        for long_name in self._long_names:
            found = together.find(long_name)
            while found >= 0:
                start, end = _words_around(words, found, found + len(long_name))
                if not _measured(words, start, end) and not words[end - 1].endswith("less"):
                    return True
                found = together.find(long_name, found + 1)
        return False


def _measured(words: list[str], start: int, end: int) -> bool:
    return not (
        _MEASURED_BEFORE.isdisjoint(words[max(0, start - 1) : start])
        and _MEASURED_AFTER.isdisjoint(words[end : end + 1])
    )


def _words_around(words: list[str], first: int, last: int) -> tuple[int, int]:
    """Give the range of words that holds the characters from *first* up to *last*."""
    start = end = position = 0
    for number, word in enumerate(words):
        if position <= first:
            start = number
        if position < last:
            end = number + 1
        position += len(word)
    return start, end


def _words(key: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(key)]
