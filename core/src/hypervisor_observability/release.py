"""The release of this package; known without its metadata, which freezers leave out."""

RELEASE = "0.1.0"
"""One for all distributions of the project, by semantic versioning."""
