"""What workers read from."""
