"""Plain values of odd ones, and default bounds. Nothing here knows about events."""
