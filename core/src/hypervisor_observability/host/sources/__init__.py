"""Sources at work: what a framework's import sets off, until the observability stops."""
