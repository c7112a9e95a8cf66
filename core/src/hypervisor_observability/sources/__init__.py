"""What workers read from."""

from .source import Cursor, Source

__all__ = ["Cursor", "Source"]
