"""`freehold catalog status`: how old the shipped facts are, and what is missing from them."""

from __future__ import annotations

from datetime import date

from freehold.catalog import freshness, licenses, models, releases, synced, unlisted
from freehold.catalog.freshness import PartAge
from freehold.catalog.synced import Shadow
from freehold.catalog.unlisted import UnlistedModels
from freehold.settings import Settings
from freehold.types.record import Record


class UnreadLicense(Record, frozen=True, kw_only=True):
    """A licence whose text was not read: what stands in the catalog is from `source`, and rulings say ``unclear``."""

    id: str
    name: str
    source: str
    releases: int
    """Models that come under it."""


class CatalogStatus(Record, frozen=True, kw_only=True):
    """The catalog on a day: the age of its parts, its newest models, and what it lacks."""

    as_of: date
    parts: tuple[PartAge, ...]
    models: int
    newest: tuple[str, ...]
    """Ids of the latest month that it has models of."""
    newest_released: str
    unlisted: tuple[UnlistedModels, ...]
    """Models known to exist that have no row."""
    tools_unknown: tuple[str, ...]
    """Models that follow instructions whose way with tools was not looked up."""
    licenses_unread: tuple[UnreadLicense, ...]
    own: int
    """Records of the user's own catalog folder."""
    shadows: tuple[Shadow, ...]
    """Those of them that a shipped row overrules."""

    @property
    def stale(self) -> tuple[str, ...]:
        """Names of the parts that are stale as a whole."""
        return tuple(one.part for one in self.parts if one.stale)


def status(settings: Settings, today: date) -> CatalogStatus:
    """How old the catalog is on a day and what is missing from it."""
    known = models.all_models()
    latest = max(model.released or "" for model in known)
    return CatalogStatus(
        as_of=today,
        parts=freshness.ages(today),
        models=len(known),
        newest=tuple(model.id for model in known if model.released == latest),
        newest_released=latest,
        unlisted=unlisted.rows(),
        tools_unknown=tuple(model.id for model in known if model.instruct and model.tools is None),
        licenses_unread=_unread(),
        own=len(synced.all_synced(settings.home)),
        shadows=synced.shadows(settings.home),
    )


def _unread() -> tuple[UnreadLicense, ...]:
    found = []
    for one in licenses.licenses().values():
        if one.scope != "weights" or one.confidence != "secondary":
            continue
        under = sum(len(release.models) for release in releases.releases() if release.license == one.id)
        found.append(UnreadLicense(id=one.id, name=one.name, source=one.source, releases=under))
    return tuple(found)
