"""Proving that a journal is what was written, and erasing without breaking the proof."""
