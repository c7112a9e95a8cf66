"""Making the stream of a fleet, changing it, and looking after it."""
