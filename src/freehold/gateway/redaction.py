"""Replace what looks like a person's data or a secret, before anything is written.

Covered: e-mail addresses, phone numbers, payment cards (Luhn), IBANs (mod 97), IPv4 addresses, API keys and
bearer tokens, in every string of a request or answer.
Not covered: names, postal addresses, dates of birth. No pattern finds these; choose ``pii`` with a model for names,
or ``off``, if they may not be stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from freehold.gateway.config import Capture

Redactor = Callable[[Any], Any]

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,24}")
_SECRET = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{16,}|ghp_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,})|(?<=[Bb]earer )[A-Za-z0-9._~+/-]{16,}=*"
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])")
_IP = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])")
_PHONE = re.compile(
    r"(?<![\w+])(?:\+|00)\d{1,3}[ ()./-]{0,2}(?:\d[ ()./-]{0,2}){6,12}\d(?!\w)"
    r"|(?<![\w+])0\d{2,5}[ /-]\d{3,9}(?!\w)"
)
_ANY_HINT = re.compile(r"[@\d]|sk-|eyJ|[Bb]earer |ghp_|xox")


def redact_text(text: str) -> str:
    """The text with each find replaced by its kind, ``<EMAIL>`` for example."""
    if not _ANY_HINT.search(text):
        return text
    text = _EMAIL.sub("<EMAIL>", text)
    text = _SECRET.sub("<SECRET>", text)
    text = _IBAN.sub(lambda match: "<IBAN>" if _is_iban(match[0]) else match[0], text)
    text = _CARD.sub(lambda match: "<CARD>" if _is_card(match[0]) else match[0], text)
    text = _IP.sub("<IP>", text)
    return _PHONE.sub("<PHONE>", text)


def redact(value: Any) -> Any:
    """A JSON value with every string in it redacted; keys stay."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {key: redact(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [redact(inner) for inner in value]
    return value


def _is_card(text: str) -> bool:
    digits = [int(char) for char in text if char.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


def redactor_of(capture: Capture) -> Redactor | None:
    """What replaces people's data in a JSON value before it is written; None where traces are kept as they are.

    Raises `MissingExtraError` for ``pii`` without its extra.
    """
    if capture == "patterns":
        return redact
    if capture == "pii":
        # Late: the library takes seconds to load, and only the recorder wants it.
        from freehold.gateway.pii import LIBRARY

        LIBRARY.load()
        return LIBRARY.redact
    return None
