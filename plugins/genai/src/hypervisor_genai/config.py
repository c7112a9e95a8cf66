"""What the table ``[plugins.genai]`` may say, beside the keys of every source."""

from attrs import frozen


@frozen
class GenAIConfig:
    """No keys of its own."""
