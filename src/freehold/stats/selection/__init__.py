"""Several candidates measured on items of their own, by which they share the proof on held-out items."""

from freehold.stats.selection.choosing import (
    LEAST_CHANCE,
    SelectionRule,
    TriedCandidate,
    assess,
    choose,
    look_parts,
    selection_size,
    sufficing_share,
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
    "look_parts",
    "selection_size",
    "sufficing_share",
    "surviving",
]
