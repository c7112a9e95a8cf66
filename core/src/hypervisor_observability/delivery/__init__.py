"""Delivery: one worker and one account per plugin."""
