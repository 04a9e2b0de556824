"""What keeps a server from starting, as one sentence."""

from __future__ import annotations

from otelbridge.exceptions import OtelbridgeError


class StartError(OtelbridgeError):
    """The server cannot start, or not go on; the text is one sentence: what, what was expected, what was got."""


def sentence_of(error: BaseException) -> str:
    """Return an error as the end of a sentence: an OSError's own words, else its kind and its text, on one line."""
    if isinstance(error, OSError) and error.strerror:
        words = error.strerror[0].lower() + error.strerror[1:]
        return f"{words}: {error.filename}" if error.filename else words
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
