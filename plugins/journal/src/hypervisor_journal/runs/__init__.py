"""The runs of a directory: a process's each, who writes one, who claimed one, which are over."""
