"""What may come between two steps of a thread, and who runs at all."""
