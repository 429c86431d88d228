"""Secrets by detect-secrets' detectors of keys with a known form (extra ``pii``), in addition to the built-in patterns.

Covered: keys and tokens of AWS, Azure, GitHub, GitLab, npm, PyPI, Slack, Stripe, SendGrid, Twilio, Telegram, Discord
and others, passwords in URLs, JSON web tokens, private keys in PEM.
Not covered: what is only long and random, and whatever stands after ``password =``. These detectors take order numbers
and plain words for secrets, which would change what a dataset teaches.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from typing import Any

from freehold.privacy.finds import Find, apart

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


def find(text: str) -> list[Find]:
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
