"""From a configuration to readers that run, and back down in order."""
