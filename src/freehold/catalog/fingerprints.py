"""Fingerprints of licence texts, made by `scripts/make_license_fingerprints.py`; no text is shipped."""

from __future__ import annotations

import functools
from importlib import resources

import msgspec

from freehold.licensing.identify import Fingerprint


@functools.cache
def fingerprints() -> tuple[Fingerprint, ...]:
    """All known texts as hashes of their sentences."""
    raw = (resources.files("freehold.catalog") / "fingerprints.json").read_bytes()
    return msgspec.json.decode(raw, type=tuple[Fingerprint, ...])
