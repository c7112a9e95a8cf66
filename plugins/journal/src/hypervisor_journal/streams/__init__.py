"""What workers read of a journal, and how far each of them is."""
