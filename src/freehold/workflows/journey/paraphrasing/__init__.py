"""Training messages of rare classes put in other words by a model, and checked before anything learns from them."""

from freehold.workflows.journey.paraphrasing.gathering import gather
from freehold.workflows.journey.paraphrasing.planning import ParaphrasesFound, ParaphrasesPlan, plan

__all__ = ["ParaphrasesFound", "ParaphrasesPlan", "gather", "plan"]
