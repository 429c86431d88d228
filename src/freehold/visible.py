"""What is shown to people: text from strangers made visible, and sizes in GiB (2**30 bytes), MiB for what is small.

Covered: control characters (C0, C1, delete), so every escape sequence; marks of direction; characters without width;
line and paragraph separators; tags; halves of surrogate pairs. Each appears as in ``\x1b`` or ``\u202e``. Of marks
that stand on one letter the first `MOST_MARKS` are shown and the others counted, so that no pile of them covers other
lines.
"""

from __future__ import annotations

import re
import unicodedata

# The styles of `click.style`: they change nothing but colour and weight. Concealed text (8) is not among them.
_STYLES = r"\x1b\[(?:0|1|2|3|4|7|22|3[0-79]|4[0-79]|9[0-7]|10[0-7])m"
_CONTROL = (
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)
MOST_MARKS = 8
"""Marks on one letter that are shown: no living script needs more than four or five."""
_MARKS = re.compile(rf"[^\w\s\x00-\x7f]{{{MOST_MARKS + 1},}}")
_UNSAFE = re.compile(_CONTROL)
_UNSAFE_BUT_STYLES = re.compile(f"({_STYLES})|{_CONTROL}")


def visible(text: str, *, styles: bool = False) -> str:
    """`text` with everything that is not plainly shown written as an escape; line breaks and tabs stay.

    With `styles`, colours and weights of text stay as well.
    """
    if text.isascii() and text.isprintable():
        return text
    if not text.isascii():
        text = _MARKS.sub(lambda found: _fewer_marks(found[0]), text)
    if styles:
        return _UNSAFE_BUT_STYLES.sub(lambda found: found[1] or _escaped(found[0]), text)
    return _UNSAFE.sub(lambda found: _escaped(found[0]), text)


def _fewer_marks(run: str) -> str:
    """A run of signs with piles of combining marks in it cut to `MOST_MARKS`, and how many were left out."""
    made: list[str] = []
    piled = 0
    for sign in (*run, ""):
        if sign and unicodedata.category(sign)[0] == "M":
            piled += 1
            if piled <= MOST_MARKS:
                made.append(sign)
            continue
        if piled > MOST_MARKS:
            made.append(f"[{piled - MOST_MARKS:,} marks more]")
        piled = 0
        made.append(sign)
    return "".join(made)


def one_line(text: str) -> str:
    """`visible`, and line breaks and tabs as well: for what has a line of its own: a name, a log's message."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _escaped(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def without_password(address: str) -> str:
    """An address with ``***`` in place of its password, wherever that stands in it."""
    hidden = re.sub(r"(?<=://)([^/?#@]*?):[^/?#]*@", r"\1:***@", address)
    return re.sub(r"(?i)([?&](?:[^=&]*(?:password|passwd|pwd|secret|token))=)[^&]*", r"\1***", hidden)


MIB = 1 << 20
GIB = 1 << 30


def gib(count: float, digits: int | None = None) -> str:
    """Bytes as ``4.83 GiB``; without `digits`, two below ten and one above."""
    size = count / GIB
    return f"{size:,.{(2 if abs(size) < 10 else 1) if digits is None else digits}f} GiB"


def mib(count: float, digits: int = 0) -> str:
    """Bytes as ``270 MiB``."""
    return f"{count / MIB:,.{digits}f} MiB"
