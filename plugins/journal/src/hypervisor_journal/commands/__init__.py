"""``hvobs journal ...``: what only this store can do."""
