"""In which order candidates are tried: the one that is expected to be cheapest first."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.catalog import models as catalog
from freehold.costs.prices import MILLION
from freehold.hardware.tensors import active_parameter_count
from freehold.types.config import ProjectConfig
from freehold.types.method import METHOD_KINDS, MethodName
from freehold.workflows.journey.methods import Candidate
from freehold.workflows.journey.methods.method import endpoint_of

_ENCODER_PARAMETERS = 30e6
"""Of a sentence encoder whose shape is not known; most have 20 to 150 million, and write no tokens."""
_USUAL_PARAMETERS = 8e9
"""Of a model that the catalog does not know."""
_USD_PER_PARAMETER = 2e-12
"""Dollars for 1,000 requests of a few hundred tokens, per parameter one token passes: 2 cents at 10 billion. It only
puts models that run here in order with those that have a price."""
_TOKENS = 500
_LONGER: dict[MethodName, float] = {"prompt": 1.1, "examples": 2.0}
"""How many times as long requests become."""


def cheapest_first(candidates: Sequence[Candidate], config: ProjectConfig) -> list[Candidate]:
    """Candidates by the cost that is expected of 1,000 requests; equals stay in their order, as they are before they
    learn first: that costs nothing to make."""
    return sorted(candidates, key=lambda one: (_expected_usd(one, config), METHOD_KINDS[one.method].trains))


def _expected_usd(candidate: Candidate, config: ProjectConfig) -> float:
    longer = _LONGER.get(candidate.method, 1.0)
    if candidate.endpoint is not None:
        price = endpoint_of(config, candidate.endpoint).price
        if price is not None:
            return float(price.prompt / MILLION) * _TOKENS * 1000 * longer
    return _parameters(candidate) * _USD_PER_PARAMETER * longer


def _parameters(candidate: Candidate) -> float:
    model = catalog.find(candidate.model)
    if model is not None:
        return active_parameter_count(model.shape)
    return _ENCODER_PARAMETERS if METHOD_KINDS[candidate.method].closed_set_only else _USUAL_PARAMETERS
