"""Names that must begin with a word."""

from __future__ import annotations

import re

_SEPARATORS = re.compile(r"[\s_\-]+")


def begins_with(name: str, prefix: str) -> bool:
    """Whether a published name begins with the word a licence demands; case and separators are ignored.

    An owner before a slash is not part of the name. ``K-EXAONE-7B`` does not begin with EXAONE.
    """
    return _plain(name.rpartition("/")[2]).startswith(_plain(prefix))


def compatible(first: str, second: str) -> bool:
    """Whether one name can begin with both words (``Llama 3`` satisfies ``Llama``)."""
    return begins_with(first, second) or begins_with(second, first)


def _plain(text: str) -> str:
    return _SEPARATORS.sub("", text).lower()
