"""What a secret looks like: by the name of its key, and by its own text.

This is a net, not a guarantee: what no rule knows goes through. The guarantee is a plugin's
list of payload keys.
"""

import re
from collections.abc import Iterable

REDACTED = "[redacted]"

DEFAULT_KEYS = (
    "access_key",
    "api_key",
    "apikey",
    "auth",
    "authorization",
    "bearer",
    "client_secret",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "csrf",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "private_key",
    "pwd",
    "secret",
    "secrets",
    "token",
    "xsrf",
)
"""Names whose values are secrets. A key has such a name if its words occur in it in a row
(``userPassword``, ``X-Api-Key``); of eight letters or more, anywhere in it."""

# Each with what a text has, in lower case, in which it finds something: to look for these
# takes a thirtieth of the time that all the expressions take.
_SHIPPED = (
    (r"\bsk[-_][A-Za-z0-9_-]{16,}", ("sk-", "sk_")),  # OpenAI, Anthropic, Stripe
    (r"\b[rp]k_(?:live|test)_[A-Za-z0-9]{10,}", ("k_live_", "k_test_")),  # Stripe
    (r"\bgh[oprsu]_[A-Za-z0-9]{20,}", ("gho_", "ghp_", "ghr_", "ghs_", "ghu_")),  # GitHub
    (r"\bgithub_pat_[A-Za-z0-9_]{20,}", ("github_pat_",)),
    (r"\bglpat-[A-Za-z0-9_-]{16,}", ("glpat-",)),  # GitLab
    (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", ("akia", "asia")),  # AWS
    (r"\bAIza[A-Za-z0-9_-]{35}", ("aiza",)),  # Google
    (r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}", ("xox",)),  # Slack
    # JSON web token, RFC 7519
    (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", ("eyj",)),
    (r"\b[Bb]earer +[A-Za-z0-9._~+/=-]{12,}", ("bearer ",)),  # RFC 6750
    (
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?",
        ("private key",),
    ),
    # User and password in a URL, RFC 3986
    (r"(?<=://)[^\s/@:]{0,256}:[^\s/@]{1,256}(?=@)", ("://",)),
    (
        r"\b(?i:password|passwd|pwd|api[_-]?key|client[_-]?secret) ?[=:] ?[^\s,;&]{4,}",
        ("passw", "pwd", "apikey", "api_key", "api-key", "secret"),
    ),
)
DEFAULT_PATTERNS = tuple(pattern for pattern, _ in _SHIPPED)
"""Regular expressions for secrets in text."""

# After "token" these make it a number of tokens, or what kind of token it is.
_COUNTING = frozenset(
    {"budget", "count", "counts", "limit", "limits", "rate", "type", "types", "usage", "used"}
)
_LONG_NAME = 8
_SHORTEST = 8  # characters that the shortest find of a shipped pattern has
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+")
_MAX_KEYS = 10_000


class Redaction:
    """Find secrets.

    Args:
        keys: Names of keys whose values are secrets.
        patterns: Regular expressions for secrets in text.

    Raises:
        ValueError: A pattern is no regular expression.
    """

    def __init__(self, keys: Iterable[str], patterns: Iterable[str]) -> None:
        self._names = [words for words in map(_words, keys) if words]
        self._long_names = [
            name for name in ("".join(words) for words in self._names) if len(name) >= _LONG_NAME
        ]
        patterns = tuple(patterns)
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                msg = f"{pattern!r} is no regular expression: {error}"
                raise ValueError(msg) from None
        marks = dict(_SHIPPED)
        own = [pattern for pattern in patterns if pattern not in marks]
        self._marks = tuple(mark for one in patterns for mark in marks.get(one, ()))
        # What never matches, where there is no pattern.
        self._own = re.compile(_any_of(own)) if own else None
        self._all = re.compile(_any_of(patterns))
        self._known: dict[str, bool] = {}

    def hides(self, key: str) -> bool:
        """Tell whether the values of *key* are secrets."""
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MAX_KEYS:
                self._known.clear()
            known = self._known[key] = self._names_in(key)
        return known

    def in_text(self, text: str) -> bool:
        """Tell whether there is a secret in *text*."""
        if len(text) < _SHORTEST and self._own is None:
            return False
        lower = text.lower()
        for mark in self._marks:
            if mark in lower:
                return self._all.search(text) is not None
        return self._own is not None and self._own.search(text) is not None

    def without_secrets(self, text: str) -> tuple[str, int]:
        """Give *text* with each secret replaced, and how many there were."""
        return self._all.subn(REDACTED, text) if self.in_text(text) else (text, 0)

    def _names_in(self, key: str) -> bool:
        words = _words(key)
        together = "".join(words)
        if any(name in together for name in self._long_names):
            return True
        return any(
            words[start : start + len(name)] == name
            and not (name == ["token"] and _COUNTING.intersection(words[start + 1 : start + 2]))
            for name in self._names
            for start in range(len(words) - len(name) + 1)
        )


def _any_of(patterns: Iterable[str]) -> str:
    return "|".join(f"(?:{pattern})" for pattern in patterns) or r"(?!)"


def _words(key: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(key)]
