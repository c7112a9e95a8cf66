"""The gate: what leaves the process is strict JSON, bounded, and without secrets."""

from .gate import Gate
from .policy import PayloadPolicy
from .redaction import REDACTED
from .secret_names import DEFAULT_KEYS
from .token_patterns import DEFAULT_PATTERNS

__all__ = ["DEFAULT_KEYS", "DEFAULT_PATTERNS", "REDACTED", "Gate", "PayloadPolicy"]
