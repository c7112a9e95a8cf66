"""Appending records, rotating segments, syncing."""
