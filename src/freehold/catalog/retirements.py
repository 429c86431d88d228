"""When proprietary models are shut down, by platform (`retirements.toml`)."""

from __future__ import annotations

import functools
import re
import tomllib
from datetime import date
from importlib.resources import files
from typing import Literal

import msgspec

Platform = Literal["openai", "anthropic", "google", "azure", "vertex", "bedrock"]

STALE_DAYS = 45
"""Rows read longer ago than this are called stale: vendors announce two to six months ahead and move dates."""

_BEDROCK = re.compile(r"(?:bedrock/)?(?:(?:us|eu|apac|global)\.)?anthropic\.(.+?)(?:-v\d+(?::\d+)?)?")


class Retirement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[retirements]]` table. `aliases` are names that point to the model today; `fine_tunes` says what
    becomes of models tuned from it (None: the vendor's page says nothing)."""

    model: str
    vendor: str
    platform: Platform
    shutdown: date
    source: str
    checked: date
    aliases: tuple[str, ...] = ()
    announced: date | None = None
    replacement: str | None = None
    fine_tunes: str | None = None

    def days_left(self, today: date) -> int:
        """Days until the shutdown; negative after it."""
        return (self.shutdown - today).days

    def is_stale(self, today: date) -> bool:
        """Was this row read too long ago to rely on?"""
        return (today - self.checked).days > STALE_DAYS


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    retirements: tuple[Retirement, ...]


@functools.cache
def rows() -> tuple[Retirement, ...]:
    """All rows, in file order."""
    text = files("freehold.catalog").joinpath("retirements.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).retirements


@functools.cache
def _by_name() -> dict[str, tuple[Retirement, ...]]:
    found: dict[str, list[Retirement]] = {}
    for row in rows():
        for name in (row.model, *row.aliases):
            found.setdefault(name.lower(), []).append(row)
    return {name: tuple(some) for name, some in found.items()}


def plain_id(model_id: str) -> tuple[str, Platform | None]:
    """A model id without what a platform or a router puts around it, and the platform that shows.

    ``ft:gpt-4o-2024-08-06:acme::x`` → its base; ``us.anthropic.claude-sonnet-4-20250514-v1:0`` → bedrock;
    ``claude-sonnet-4@20250514`` → vertex; ``azure/gpt-4o`` → azure; ``openai/gpt-4o`` → openai.
    """
    name, platform = model_id.strip(), None
    tuned = re.fullmatch(r"ft:([^:]+).*", name)
    if tuned:
        return tuned.group(1), "openai"
    if bedrock := _BEDROCK.fullmatch(name):
        return bedrock.group(1), "bedrock"
    if "@" in name:
        return name.replace("@", "-"), "vertex"
    head, slash, tail = name.partition("/")
    if slash:
        known: dict[str, Platform] = {
            "openai": "openai", "anthropic": "anthropic", "azure": "azure", "vertex_ai": "vertex",
            "gemini": "google", "google": "google", "models": "google",
        }  # fmt: skip
        if head in known:
            return tail, known[head]
    return name, platform


def find(model_id: str, platform: Platform | None = None) -> tuple[Retirement, ...]:
    """Rows of a model, by id, alias or fine-tune; of one platform, or, when none shows, the vendor's own first."""
    name, shown = plain_id(model_id)
    wanted = platform or shown
    found = _by_name().get(name.lower(), ())
    if wanted is not None:
        return tuple(row for row in found if row.platform == wanted)
    own = ("openai", "anthropic", "google")
    return tuple(sorted(found, key=lambda row: row.platform not in own))


def retirement_of(model_id: str) -> Retirement | None:
    """The announced end of a model where it is served (its maker's own API unless the id says otherwise); None
    where none is known, which promises nothing. A fine-tune ends with its base only where the vendor says so."""
    found = find(model_id)
    if model_id.strip().startswith("ft:"):
        found = tuple(row for row in found if row.fine_tunes)
    own = [row for row in found if row.platform in ("openai", "anthropic", "google")]
    return next(iter(own or found), None)


def names() -> frozenset[str]:
    """Every id and alias with a row, lower case."""
    return frozenset(_by_name())
