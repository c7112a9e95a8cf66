"""What agents read of the stream, and how they share it."""
