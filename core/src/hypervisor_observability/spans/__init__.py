"""Spans: what they are, and how they are assembled from events."""
