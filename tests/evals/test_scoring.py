import asyncio

import pytest

from freehold.errors import InputError
from freehold.evals.answers import ChatAnswer
from freehold.evals.scorer import Scorer, right
from freehold.evals.scoring import score_all, scored
from freehold.types.dataset import Sample

SAMPLE = Sample(id="s", messages=())


class Counting(Scorer):
    """Counts how many answers it holds at a time."""

    name = "counting"
    binary = True
    needs_reference = False

    def __init__(self, options):
        self.at_once = options["at_once"]
        self.held = self.most = 0
        self.closed = False

    async def score(self, sample, answer, reference):
        self.held += 1
        self.most = max(self.most, self.held)
        await asyncio.sleep(0)
        self.held -= 1
        return right()

    async def close(self):
        self.closed = True


@pytest.mark.parametrize("at_once", [1, 3])
def test_no_more_are_scored_at_a_time_than_the_scorer_takes(at_once):
    scorer = Counting({"at_once": at_once})
    samples = [Sample(id=str(i), messages=()) for i in range(8)]
    answers = [ChatAnswer(output=str(i)) for i in range(8)]
    results = asyncio.run(score_all(scorer, "m", samples, answers, [None] * 8))
    assert scorer.most == at_once
    assert [one.output for one in results] == [str(i) for i in range(8)]


@pytest.mark.parametrize(
    ("answer", "value", "format_ok"),
    [
        (ChatAnswer(output="x"), 1.0, True),
        (ChatAnswer(fault="infrastructure", error="http_500: boom"), None, True),
        (ChatAnswer(output="x", fault="candidate", error="cut: at the limit"), 0.0, False),
    ],
)
def test_a_fault_decides_before_the_scorer_does(answer, value, format_ok):
    scorer = Counting({"at_once": 1})
    result = asyncio.run(scored(scorer, "m", SAMPLE, answer, None))
    assert (result.score.value, result.score.format_ok) == (value, format_ok)
    assert result.score.reason == answer.error
    assert scorer.most == (answer.fault is None)


class Breaking(Counting):
    """Fails on the second answer."""

    async def score(self, sample, answer, reference):
        if answer == "b":
            raise InputError("at fault")
        return await super().score(sample, answer, reference)


def test_what_a_scorer_raises_ends_the_scoring():
    async def go():
        scorer = Breaking({"at_once": 1})
        answers = [ChatAnswer(output=one) for one in "abcd"]
        with pytest.raises(InputError, match="at fault"):
            await score_all(scorer, "m", [SAMPLE] * 4, answers, [None] * 4)
        return len(asyncio.all_tasks())

    assert asyncio.run(go()) == 1
