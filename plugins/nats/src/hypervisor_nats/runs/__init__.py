"""Runs, as they arrive in the stream."""
