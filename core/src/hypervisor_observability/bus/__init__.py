"""The log, who listens to it, and who asks it."""
