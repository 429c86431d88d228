"""Choosing one of several candidates on items of their own, so that the proof on held-out items looks at one only."""

from freehold.stats.selection.bar import sufficing_share
from freehold.stats.selection.choosing import (
    LEAST_CHANCE,
    SelectionRule,
    TriedCandidate,
    assess,
    choose,
    selection_size,
)
from freehold.stats.selection.halving import HalvingStep, halving_plan, hopeless, surviving

__all__ = [
    "LEAST_CHANCE",
    "HalvingStep",
    "SelectionRule",
    "TriedCandidate",
    "assess",
    "choose",
    "halving_plan",
    "hopeless",
    "selection_size",
    "sufficing_share",
    "surviving",
]
