"""The whole search: plain ways first, then a proposer's, and the best of all that was measured on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from freehold.prompts import halving
from freehold.prompts.checks import Checks
from freehold.prompts.measuring import Measure, standing
from freehold.prompts.reflection import Propose, ReflectionPlan, reflect
from freehold.prompts.variants import AskedOf, Variant
from freehold.types.dataset import Sample
from freehold.types.prompting import PromptProposal, PromptTrial


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposing:
    """Who rewrites, and within which limits; see `ReflectionPlan`."""

    propose: Propose
    checks: Checks
    train: Sequence[Sample]
    most_proposals: int
    form: str | None = None
    seed: int = 0


class PromptsFound(NamedTuple):
    """What was tried, as sent first; the place of the best; what was proposed; why it ended early."""

    trials: tuple[PromptTrial, ...]
    chosen: int
    proposals: tuple[PromptProposal, ...]
    stopped: str | None


def search(
    asked: AskedOf,
    variants: Sequence[Variant],
    samples: Sequence[Sample],
    measure: Measure,
    proposing: Proposing | None = None,
) -> PromptsFound:
    """Try the variants and, with a proposer, prompts it writes from the best of them on.

    Raises `SearchEndedError` where not even the request as it is sent could be measured.
    """
    trials, stopped = halving.halve(variants, samples, measure)
    proposals: tuple[PromptProposal, ...] = ()
    if proposing is not None and stopped is None:
        start = trials[best(trials)]
        found = reflect(
            ReflectionPlan(
                asked=asked,
                start=start.preparation,
                train=proposing.train,
                validation=samples,
                measure=measure,
                propose=proposing.propose,
                checks=proposing.checks,
                most_proposals=proposing.most_proposals,
                form=proposing.form,
                seed=proposing.seed,
            )
        )
        trials, stopped = [*trials, *found.trials], found.stopped
        proposals = tuple(proposing.checks.proposals)
    return PromptsFound(tuple(trials), best(trials), proposals, stopped)


def best(trials: Sequence[PromptTrial]) -> int:
    """The place of the best of those measured on all samples. Of what is equal it is the request as it is sent, which
    comes first, then the one with the fewest tokens."""
    complete = [place for place, one in enumerate(trials) if one.complete]

    def order(place: int) -> tuple[float, bool, float]:
        worth, tokens = standing(trials[place])
        return worth, place > 0, tokens

    return min(complete, key=order, default=0)
