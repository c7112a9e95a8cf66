"""Text that UTF-8 can carry."""


def encodable(text: str) -> str:
    r"""Write lone surrogates, which UTF-8 cannot carry, as escapes such as ``\ud800``."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
