"""A text as a program or a person reads it, with the place of each character in the text as it was written. Pure.

Covered: percent escapes (RFC 3986), character references of HTML, escapes of JSON and JavaScript, full-width and
other compatibility forms (Unicode NFKC), the digits and spaces of all scripts, characters that are not seen.
Not covered: base64, what is escaped twice, letters that only look alike.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import NamedTuple
from urllib.parse import unquote

_ESCAPES = (
    r"(?:%[0-9A-Fa-f]{2})+|&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});|(?:\\u[0-9A-Fa-f]{4})+"
    r"|\\x[0-9A-Fa-f]{2}"
)
_ESCAPE = re.compile(_ESCAPES)
_ESCAPE_OR_NO_ASCII = re.compile(rf"{_ESCAPES}|[^\x00-\x7f]")
_RARE = re.compile(r"[^\x00-\xac\xae-\u024f\u2010-\u2027\u2030-\u205e\u20a0-\u20bf]")
"""Beyond Latin letters and common signs; the soft hyphen, too."""


class Spelling(NamedTuple):
    """A text as it is read; its character at ``i`` was written from ``starts[i]`` to ``ends[i]``."""

    text: str
    starts: list[int]
    ends: list[int]


def read(text: str) -> Spelling | None:
    """How a text is read; None where that is how it is written."""
    odd = _ESCAPE if "%" in text or "&" in text or "\\" in text else None
    if not text.isascii() and (_RARE.search(text) or not unicodedata.is_normalized("NFKC", text)):
        odd = _ESCAPE_OR_NO_ASCII
    if odd is None or odd.search(text) is None:
        return None
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for match in odd.finditer(text):
        start, end = match.span()
        meant = _folded(_meant(match[0]))
        pieces += [text[done:start], meant]
        starts += [*range(done, start), *[start] * len(meant)]
        ends += [*range(done + 1, start + 1), *[end] * len(meant)]
        done = end
    pieces.append(text[done:])
    starts += range(done, len(text))
    ends += range(done + 1, len(text) + 1)
    return Spelling("".join(pieces), starts, ends)


def _meant(written: str) -> str:
    """What an escape stands for; anything else is itself."""
    if written[0] == "%":
        return unquote(written, errors="replace")
    if written[0] == "&":
        return html.unescape(written)
    if written[0] == "\\":
        codes = re.findall(r"[0-9A-Fa-f]{2,4}", written)
        units = b"".join(int(code, 16).to_bytes(2, "big") for code in codes)
        return units.decode("utf-16-be", "replace")
    return written


def _folded(text: str) -> str:
    if text.isascii():
        return text
    made = []
    for char in unicodedata.normalize("NFKC", text):
        kind = unicodedata.category(char)
        if kind == "Nd":
            made.append(str(unicodedata.decimal(char)))
        elif kind != "Cf":
            made.append(" " if kind.startswith("Z") else char)
    return "".join(made)
