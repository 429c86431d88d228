"""How tests of scorers score: one answer in an event loop of its own."""

import asyncio
from typing import Any

from freehold.evals.scorers import make
from freehold.types.dataset import Message, Sample
from freehold.types.evaluation import Score

SAMPLE = Sample(id="s", messages=(Message(role="user", content="?"),), metadata={"limit": 3})


def score(name: str, answer: str, reference: str | None, *, sample: Sample = SAMPLE, **options: Any) -> Score:
    async def go() -> Score:
        scorer = make(name, options)
        given = await scorer.score(sample, answer, reference)
        await scorer.close()
        return given

    return asyncio.run(go())


def value(*args: Any, **options: Any) -> float | None:
    return score(*args, **options).value
