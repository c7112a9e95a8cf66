"""What an event says, and what lasts from one to another: payloads read once for all readers."""
