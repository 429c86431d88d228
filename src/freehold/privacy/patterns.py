"""Personal data and secrets by patterns with check digits: fast, of few mistakes, and without any library.

Covered: e-mail addresses, phone numbers, payment cards (issuer's ranges and Luhn), IBANs (mod 97), IP addresses (v4
and v6), MAC addresses, API keys of known forms, bearer tokens, private keys, passwords in URLs; what a word before it
tells: dates of birth, numbers of passports, licences and accounts; all of them in the spellings
below.
Not covered: names, postal addresses. No pattern finds these. What is found in which language is measured:
docs/reference/redaction.md.

Covered: percent escapes (RFC 3986), character references of HTML, escapes of JSON and JavaScript, full-width and
other compatibility forms (Unicode NFKC), the digits and spaces of all scripts, characters that are not seen.
Not covered: base64, what is escaped twice, letters that only look alike.

Covered: keys and tokens of AWS, Azure, GitHub, GitLab, npm, PyPI, Slack, Stripe, SendGrid, Twilio, Telegram, Discord
and others, passwords in URLs, JSON web tokens, private keys in PEM.
Not covered: what is only long and random, and whatever stands after ``password =``. These detectors take order numbers
and plain words for secrets, which would change what a dataset teaches.
"""

from __future__ import annotations

import functools
import html
import importlib.util
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

from freehold.privacy import finds
from freehold.privacy.finds import Find, apart, blanked

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


def read_spelling(text: str) -> Spelling | None:
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


_LETTERS = r"A-Za-z\u00aa-\u024f\u0300-\u052f"
"""Latin, Greek and Cyrillic, with marks on them: scripts that put spaces between words."""
_EMAIL = re.compile(rf"[{_LETTERS}0-9._%+-]{{1,64}}@[{_LETTERS}0-9.-]{{1,190}}\.[{_LETTERS}]{{2,24}}")
_PASSWORD = re.compile(r"://[^\s:/@\"'<>]{0,64}:([^\s/@\"'<>]{1,128})@(?=[\w\[])")
_SECRET = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{16,}|[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abeprs]-[A-Za-z0-9-]{10,}|(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|AIza[A-Za-z0-9_-]{30,}|hf_[A-Za-z0-9]{24,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{40,}|fh-[A-Za-z0-9_-]{32}"
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,})|(?<=[Bb]earer )[A-Za-z0-9._~+/-]{16,}=*"
)
_NAMED_SECRET = re.compile(
    r"(?:[Ss]ecret|SECRET)\w{0,24}[\"']?\s{0,3}[:=]\s{0,3}[\"']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
)
"""As AWS makes its secret access keys: nothing but the name tells them from a hash."""
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_KEY_CHARACTERS = 20_000
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![\d-])(?:\d(?:[ -]?\d){12,18}|(?<!\.)\d{4}\.\d{4}\.\d{4}\.\d{1,7})(?![\d-])")
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3[0689]\d{12}|35\d{14}|(?:6\d|5[06-8])\d{14,17}"
)
_IP = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\d|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_LONGEST_GROUP = re.compile(r"[0-9A-Fa-f]{3}")
_MAC = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])")
_PHONE = re.compile(
    r"(?<![\w+])(?<!\d[ ,./-])(?:\+|00)\d{1,3}[ ()./-]{0,2}(?:\d[ ()./-]{0,2}){6,12}\d(?!\w)"
    r"|(?<![\w+])(?<!\d[ ,./-])0\d{1,4}(?:[ -]\d{2,5}){2,4}(?![\w-])"
    r"|(?<![\w+])(?<!\d[ ,./-])0\d{2,5}[ /-]\d{3,9}(?!\w)"
)
_DIGITS_OF_PHONE = range(7, 16)
_NO_DIGITS = bytes(code for code in range(256) if not 48 <= code <= 57)


class TextShape(NamedTuple):
    """What is cheap to know of a text, by which most patterns need not be tried."""

    text: str
    digits: int
    dots: int
    dashes: int
    colons: int

    @classmethod
    def of(cls, text: str) -> TextShape:
        """Digits are those of ASCII: others are never in a text as it is read."""
        digits = len(text.encode(errors="replace").translate(None, _NO_DIGITS))
        return cls(text, digits, text.count("."), text.count("-"), text.count(":"))


class PatternLook(NamedTuple):
    """One kind of find, and whether a text of that shape can hold one at all."""

    find: Callable[[str], list[Find]]
    is_possible: Callable[[TextShape], bool]


def find(text: str) -> list[Find]:
    """What is found, in order and apart from each other, in the text as it is read. A kind earlier in the list wins
    over those after it."""
    read = read_spelling(text)
    if read is None:
        return _found(text)
    found = [Find(read.starts[one.start], read.ends[one.end - 1], one.kind) for one in _found(read.text)]
    # A password's own escapes keep it in one piece: what they stand for would end it.
    return apart([*_secrets(text), *found])


def _found(text: str) -> list[Find]:
    shape = TextShape.of(text)
    found: list[Find] = []
    rest = text
    for look in LOOKS:
        if look.is_possible(shape):
            here = look.find(rest)
            rest = blanked(rest, here, finds.FOUND) if here else rest  # nothing is found twice
            found += here
    return sorted(found)


def _secrets(text: str) -> list[Find]:
    found = [Find(*match.span(), "SECRET") for match in _SECRET.finditer(text)]
    for pattern in (_PASSWORD, _NAMED_SECRET):
        found += [Find(*match.span(1), "SECRET") for match in pattern.finditer(text)]
    return apart([*found, *_private_keys(text)])


def _private_keys(text: str) -> Iterator[Find]:
    done = 0
    while begin := _KEY_BEGINS.search(text, done):
        end = _KEY_ENDS.search(text, begin.end(), begin.end() + _KEY_CHARACTERS)
        done = end.end() if end else begin.end()
        if end:
            yield Find(begin.start(), end.end(), "SECRET")


def _is_card(text: str) -> bool:
    plain = re.sub(r"\D", "", text)
    digits = [int(char) for char in plain]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 and _ISSUED.fullmatch(plain) is not None


def _is_iban(text: str) -> bool:
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


def _is_ipv6(text: str) -> bool:
    """Whether it is an address, and not a time, a slice or a name: one of its groups has three digits or more."""
    if not _LONGEST_GROUP.search(text) or not any(char.isdigit() for char in text):
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_phone(text: str) -> bool:
    return sum(char.isdigit() for char in text) in _DIGITS_OF_PHONE


def _always(_text: str) -> bool:
    return True


_IN_SECRETS = {
    "": ("AKIA", "ASIA", "AIza", "SG.", "eyJ", "earer ", "ecret", "ECRET"),
    "-": ("sk-", "glpat-", "xox", "pypi-", "fh-", "-----BEGIN"),
    "_": ("k_live_", "k_test_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "hf_", "npm_"),
    "@": ("://",),
}
"""A word that each secret holds, by the character that the word holds or that stands behind it."""


def _may_hold_a_secret(shape: TextShape) -> bool:
    text = shape.text
    return any(word in text for char, words in _IN_SECRETS.items() if char in text for word in words)


def _by(kind: str, pattern: re.Pattern[str], holds: Callable[[str], bool]) -> Callable[[str], list[Find]]:
    return lambda text: [Find(*match.span(), kind) for match in pattern.finditer(text) if holds(match[0])]


LOOKS = (
    PatternLook(_secrets, _may_hold_a_secret),
    PatternLook(_by("EMAIL", _EMAIL, _always), lambda shape: "@" in shape.text),
    PatternLook(_by("IBAN", _IBAN, _is_iban), lambda shape: shape.digits >= 2 and not shape.text.islower()),
    PatternLook(_by("CARD", _CARD, _is_card), lambda shape: shape.digits >= 13),
    PatternLook(_by("MAC", _MAC, _always), lambda shape: shape.colons >= 5 or shape.dashes >= 5),
    PatternLook(_by("IP", _IP, _always), lambda shape: shape.digits >= 4 and shape.dots >= 3),
    PatternLook(_by("IP", _IPV6, _is_ipv6), lambda shape: shape.digits >= 1 and shape.colons >= 2),
    PatternLook(_by("PHONE", _PHONE, _is_phone),
         lambda shape: shape.digits >= _DIGITS_OF_PHONE[0] and ("0" in shape.text or "+" in shape.text)),
    PatternLook(lambda text: apart(finds.find_labelled(text)), lambda shape: shape.digits >= finds.FEWEST_DIGITS),
)  # fmt: skip
"""In this order. What was found is blanked for those after it, which takes away and adds nothing that they need."""

_LEFT_OUT = frozenset(
    {
        "Base64 High Entropy String", "Hex High Entropy String", "Secret Keyword", "Public IP (ipv4)",
        "Private Key",  # finds the first line only; the built-in pattern finds the key
    }
)  # fmt: skip
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----.{0,20000}?"
    r"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----",
    re.DOTALL,
)
SHORTEST = 12
"""Fewer characters than this are not a key."""


def available() -> bool:
    """Whether detect-secrets is installed."""
    return importlib.util.find_spec("detect_secrets") is not None


def find_secrets(text: str) -> list[Find]:
    """Secrets in a text, in order and apart from each other; without detect-secrets only private keys."""
    found = [Find(*match.span(), "SECRET") for match in _PRIVATE_KEY.finditer(text)]
    if available():
        for detector in _detectors():
            for secret in detector.analyze_string(text):
                if len(secret) >= SHORTEST:
                    start = text.find(secret)
                    found.append(Find(start, start + len(secret), "SECRET"))
    return apart(found) if found else found


@functools.cache
def _detectors() -> tuple[Any, ...]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    kinds: dict[str, Any] = get_mapping_from_secret_type_to_class()
    return tuple(kinds[name]() for name in sorted(kinds) if name not in _LEFT_OUT)
