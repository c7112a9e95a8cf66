"""``hvobs demo``: the whole at work, without a server."""
