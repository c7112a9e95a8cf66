"""Reading records, and asking for events."""
