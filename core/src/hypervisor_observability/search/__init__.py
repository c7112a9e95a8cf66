"""Find recorded events as people ask for them: by patterns, names and words."""
