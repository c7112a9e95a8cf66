"""A client library for models, which frameworks and applications call."""


async def chat(text: str) -> str:
    """Have a model answer."""
    return text.upper()
