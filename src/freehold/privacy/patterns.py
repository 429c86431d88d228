"""Personal data and secrets by patterns with check digits: fast, of few mistakes, and without any library.

Covered: e-mail addresses, phone numbers, payment cards (issuer's ranges and Luhn), IBANs (mod 97), IP addresses (v4
and v6), MAC addresses, API keys of known forms, bearer tokens, private keys, passwords in URLs; what `labelled` knows
by a word before it: dates of birth, numbers of passports, licences and accounts; all of them in the spellings that
`spelling` reads.
Not covered: names, postal addresses. No pattern finds these. What is found in which language is measured:
docs/reference/redaction.md.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from freehold.privacy import labelled, spelling
from freehold.privacy.finds import Find, apart, blanked

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
    read = spelling.read(text)
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
            rest = blanked(rest, here, labelled.FOUND) if here else rest  # nothing is found twice
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
    PatternLook(lambda text: apart(labelled.find(text)), lambda shape: shape.digits >= labelled.FEWEST_DIGITS),
)  # fmt: skip
"""In this order. What was found is blanked for those after it, which takes away and adds nothing that they need."""
