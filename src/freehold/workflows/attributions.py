"""The text a served model's licences ask to be shown, for the gateway's page ``/attribution``."""

from __future__ import annotations

from collections.abc import Iterable

from freehold.catalog.releases import releases_of
from freehold.types.endpoint import ServePlan
from freehold.types.license import UseProfile
from freehold.workflows.license import attribution, rule_for_model


def attributions(plans: Iterable[ServePlan], use: UseProfile) -> dict[str, str]:
    """Text by base model. A model whose licence the catalog does not know has none: nothing is made up."""
    return {
        plan.model: attribution(rule_for_model(plan.model, use)) for plan in plans if releases_of(plan.model)
    }
