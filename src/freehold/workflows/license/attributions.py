"""The text a served model's licences ask to be shown, for the gateway's page ``/attribution``."""

from __future__ import annotations

from collections.abc import Iterable

from freehold.catalog.releases import releases_of
from freehold.types.config import UseProfile
from freehold.types.endpoint import ServePlan
from freehold.workflows.license.rule import attribution, rule_for_model


def attributions(plans: Iterable[ServePlan], use: UseProfile) -> dict[str, str]:
    """Text by base model. A model whose licence the catalog does not know has none, and none is invented.

    What was trained whole or merged is served as ``base:name``, and its base's licence asks the same of it.
    """
    names = {name for plan in plans for name in (plan.model, plan.model.rpartition(":")[0])}
    return {
        name: attribution(rule_for_model(name, use)) for name in sorted(names) if name and releases_of(name)
    }
