"""What keeps a journal small, synced and anchored."""
