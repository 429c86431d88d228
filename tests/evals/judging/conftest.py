"""Two models' texts judged in pairs on a loopback endpoint."""

import asyncio
import re

from freehold.evals.client import Patience
from freehold.evals.comparing import SideBySide
from freehold.evals.task_comparison import compare_by_task
from freehold.types.dataset import Message, Sample
from freehold.types.evaluation import EvalResult, Score, Task

QUICK = Patience(attempts=2, first_wait_seconds=0.01)


def answer(place, model, text):
    if isinstance(text, EvalResult):
        return text
    return EvalResult(
        sample_id=f"s{place}", model=model, output=text, score=Score(value=None, reason="pairwise")
    )


def run(
    serve, reply, candidate, incumbent, *, margin=0.1, incumbent_name="incumbent", samples=None, **options
):
    """Compare texts by a pairwise judge; returns what was compared and the loopback server."""
    samples = samples or [
        Sample(id=f"s{place}", messages=(Message(role="user", content=f"question {place}"),))
        for place in range(len(candidate))
    ]

    async def go():
        async with serve(reply, streaming=False) as server:
            task = Task(
                name="t",
                scorer="judge",
                margin=margin,
                options={
                    "base_url": server.endpoint.base_url,
                    "model": options.pop("model", "judge-1"),
                    **options,
                },
            )
            compared = await compare_by_task(
                SideBySide(
                    samples,
                    [one.target for one in samples],
                    [answer(place, "i", text) for place, text in enumerate(incumbent)],
                    [answer(place, "c", text) for place, text in enumerate(candidate)],
                    incumbent_name,
                    "candidate",
                ),
                task,
                patience=QUICK,
            )
            return compared, server

    return asyncio.run(go())


def shown(body):
    text = body["messages"][-1]["content"]
    return re.search(r"# Answer A\n(.*?)\n\n# Answer B\n(.*?)\n\nSay", text, re.DOTALL).groups()


def honest(body, attempt):
    a, b = shown(body)
    return (
        "[[A]]"
        if "good" in a and "good" not in b
        else "[[B]]"
        if "good" in b and "good" not in a
        else "[[C]]"
    )
