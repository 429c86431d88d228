"""Personal data and secrets by patterns with check digits: fast, of few mistakes, and without any library.

Covered: e-mail addresses, phone numbers, payment cards (Luhn), IBANs (mod 97), IPv4 addresses, API keys and bearer
tokens.
Not covered: names, postal addresses, dates of birth. No pattern finds these.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from freehold.privacy.finds import Find, blanked

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,24}")
_SECRET = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{16,}|ghp_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,})|(?<=[Bb]earer )[A-Za-z0-9._~+/-]{16,}=*"
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])")
_IP = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])")
_PHONE = re.compile(
    r"(?<![\w+])(?<!\d[ ,./-])(?:\+|00)\d{1,3}[ ()./-]{0,2}(?:\d[ ()./-]{0,2}){6,12}\d(?!\w)"
    r"|(?<![\w+])(?<!\d[ ,./-])0\d{2,5}[ /-]\d{3,9}(?!\w)"
)
_ANY_HINT = re.compile(r"[@\d]|sk-|eyJ|[Bb]earer |ghp_|xox")


def find(text: str) -> list[Find]:
    """What is found, in order and apart from each other. A kind earlier in the list wins over those after it."""
    if not _ANY_HINT.search(text):
        return []
    found: list[Find] = []
    rest = text
    for kind, pattern, holds in _KINDS:
        here = [Find(*match.span(), kind) for match in pattern.finditer(rest) if holds(match[0])]
        rest = blanked(rest, here, "<")  # nothing is found twice
        found += here
    return sorted(found)


def _is_card(text: str) -> bool:
    digits = [int(char) for char in text if char.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


def _always(_text: str) -> bool:
    return True


_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("EMAIL", _EMAIL, _always),
    ("SECRET", _SECRET, _always),
    ("IBAN", _IBAN, _is_iban),
    ("CARD", _CARD, _is_card),
    ("IP", _IP, _always),
    ("PHONE", _PHONE, _always),
)
