"""``hvobs demo --agents``: two agents of a help desk, and what is seen of them."""
