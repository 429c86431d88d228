"""Text made comparable: what differs only in case, width, spacing or wrapping is the same."""

from __future__ import annotations

import re
import unicodedata

_SEPARATORS = re.compile(r"[\s_\-]+")
_WRAPPING = " \t\n\"'`“”‘’«»*.,;:!()[]{}<>"
_FENCE = re.compile(r"\A\s*```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```\s*\Z", re.DOTALL)


def normalized_label(text: str) -> str:
    """A label without case, surrounding punctuation, and with ``_``, ``-`` and runs of spaces as one space."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _SEPARATORS.sub(" ", folded.strip(_WRAPPING)).strip(_WRAPPING)


def collapsed(text: str) -> str:
    """NFC text with runs of white space as one space and none around."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def unfenced(text: str) -> str:
    """What is inside when the whole text is one Markdown code fence, else the text; without outer space."""
    found = _FENCE.match(text)
    return (found.group(1) if found else text).strip()
