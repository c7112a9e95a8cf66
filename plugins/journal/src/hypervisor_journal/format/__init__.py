"""How a record looks on the disk."""
