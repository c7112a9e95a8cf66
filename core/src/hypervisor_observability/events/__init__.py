"""What happened: events, their types, ids, times and payloads."""
