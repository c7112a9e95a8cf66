"""The command line, ``hvobs``."""
