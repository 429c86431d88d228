"""What the search is given to measure with, and how answers are added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from freehold.errors import FreeholdError
from freehold.types.dataset import Sample
from freehold.types.preparation import Preparation
from freehold.types.prompting import PromptTrial

FORMAT_WEIGHT = 0.1
"""How much of what is climbed is that an answer has the right form. Where a model never writes valid JSON, all scores
are 0 whatever the prompt says; the first step to a right answer is then one that can be read."""


class PromptAnswer(NamedTuple):
    """A model's answer to a prepared request, and its score. `reason` is the scorer's."""

    sample: Sample
    output: str
    score: float | None
    reason: str | None
    format_ok: bool
    prompt_tokens: int | None

    @property
    def worth(self) -> float:
        """The score, and a little for the right form: in [0, 1], 1 only for a right answer."""
        return (1 - FORMAT_WEIGHT) * (self.score or 0.0) + FORMAT_WEIGHT * self.format_ok


class Measure(Protocol):
    """Asks a model samples in one way. Raises `SearchEndedError` where it cannot go on."""

    def __call__(
        self, preparation: Preparation, samples: Sequence[Sample], *, name: str
    ) -> list[PromptAnswer]: ...


class SearchEndedError(FreeholdError):
    """The search ends here with what was found: a budget is spent, or the proposer answers nothing any more."""


def worth(answers: Sequence[PromptAnswer]) -> float:
    """Mean of what the answers are worth, in [0, 1]."""
    return sum(one.worth for one in answers) / len(answers) if answers else 0.0


def trial(
    name: str, preparation: Preparation, answers: Sequence[PromptAnswer], *, complete: bool = True
) -> PromptTrial:
    """The answers to one way of asking, added up."""
    counted = [one.prompt_tokens for one in answers if one.prompt_tokens is not None]
    return PromptTrial(
        name=name,
        preparation=preparation,
        samples=len(answers),
        score=sum(one.score or 0.0 for one in answers) / len(answers) if answers else 0.0,
        malformed=sum(not one.format_ok for one in answers),
        unscored=sum(one.score is None for one in answers),
        prompt_tokens=sum(counted) / len(counted) if len(counted) == len(answers) and counted else None,
        complete=complete,
    )


def standing(made: PromptTrial) -> tuple[float, float]:
    """What trials on the same samples are sorted by, the best first: worth, then fewer tokens."""
    right_form = 1 - made.malformed_share
    gained = (1 - FORMAT_WEIGHT) * made.score + FORMAT_WEIGHT * right_form
    return -round(gained, 9), made.prompt_tokens or 0.0
