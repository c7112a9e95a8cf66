"""The gate: what leaves the process is strict JSON, bounded, and without secrets."""

from .gate import Gate
from .policy import PayloadPolicy
from .redaction import DEFAULT_KEYS, DEFAULT_PATTERNS, REDACTED

__all__ = ["DEFAULT_KEYS", "DEFAULT_PATTERNS", "REDACTED", "Gate", "PayloadPolicy"]
