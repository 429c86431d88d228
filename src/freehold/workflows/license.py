"""Rulings on models and lineages: the catalog's facts put before the rules."""

from __future__ import annotations

from freehold import __version__
from freehold.catalog.ancestry import resolve
from freehold.licensing.ruling import rule
from freehold.licensing.situation import Situation
from freehold.types.license import Lineage, LineageEdge, Ruling, UseProfile


def rule_for_model(model_id: str, use: UseProfile, *, lineage: Lineage | None = None) -> Ruling:
    """May this model be used for this, and what must be done?

    Without a lineage the model stands for itself (ancestors its release is known to have are added). A
    service in the lineage (``distilled_from`` ``gpt-4o-2024-08-06``) brings its contract in. A model that is
    not in the catalog comes out as ``unclear``, never as allowed.
    """
    if lineage is None:
        lineage = Lineage(model=model_id, edges=(LineageEdge(kind="base", model=model_id),))
    return rule(Situation(use, lineage, resolve(lineage, use)), version=__version__)
