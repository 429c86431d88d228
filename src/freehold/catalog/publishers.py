"""Who publishes open weights, under what pattern of licences, how often (`publishers.toml`)."""

from __future__ import annotations

import functools
import itertools
import statistics
import tomllib
from collections import Counter
from datetime import date
from importlib.resources import files

import msgspec

from freehold.catalog.models import all_models
from freehold.catalog.releases import releases
from freehold.types.record import Record


class PublisherRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[publishers]]` table."""

    name: str
    owners: tuple[str, ...]
    source: str
    checked: date
    drift: str | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    publishers: tuple[PublisherRow, ...]


class Publisher(Record, frozen=True, kw_only=True):
    """A publisher with what the catalog counts: licence → entries of releases under it, models, months of release.

    `months_between` is the median between months with a release; None with fewer than three such months.
    """

    name: str
    owners: tuple[str, ...]
    models: int
    licenses: dict[str, int]
    first: str | None
    latest: str | None
    months_between: float | None
    drift: str | None
    reliance: str
    source: str
    checked: date


@functools.cache
def rows() -> tuple[PublisherRow, ...]:
    """All rows, in file order."""
    text = files("freehold.catalog").joinpath("publishers.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).publishers


def publishers() -> list[Publisher]:
    """All publishers with their counts, those with most models first."""
    return sorted(map(_counted, rows()), key=lambda one: (-one.models, one.name))


def _counted(row: PublisherRow) -> Publisher:
    owners = {owner.lower() for owner in row.owners}
    models = [model for model in all_models() if model.id.split("/")[0].lower() in owners]
    licenses = Counter(
        release.license
        for release in releases()
        if release.kind == "llm" and any(name.split("/")[0].lower() in owners for name in release.models)
    )
    months = sorted({model.released for model in models if model.released})
    counted = [12 * int(month[:4]) + int(month[5:7]) for month in months]
    gaps = [later - earlier for earlier, later in itertools.pairwise(counted)]
    return Publisher(
        name=row.name,
        owners=row.owners,
        models=len(models),
        licenses=dict(licenses.most_common()),
        first=months[0] if months else None,
        latest=months[-1] if months else None,
        months_between=statistics.median(gaps) if len(gaps) > 1 else None,
        drift=row.drift,
        reliance=_reliance(row, licenses),
        source=row.source,
        checked=row.checked,
    )


def _reliance(row: PublisherRow, licenses: Counter[str]) -> str:
    if len(licenses) > 1:
        return (
            "terms differ between releases: pin the release, keep the licence text it came with, and expect the "
            "next one to differ; what you hold stays under its own terms"
        )
    if len(licenses) == 1:
        return "one licence over all releases read so far; each new release is still ruled on by itself"
    return "no release of it has been read: a ruling will say unclear"
