"""Who caused what: causal ids, the current one, what carries them, and the tree of a trace."""
