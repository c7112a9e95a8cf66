"""The journal: what ``emit`` accepted, on disk, in order, and provably so."""
