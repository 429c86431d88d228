"""What a judge gets to read: each answer in its place and nowhere else."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evals.judging.conftest import answer

from freehold.evals.answers import ChatAnswer
from freehold.evals.comparing import SideBySide
from freehold.evals.judging.judge import Judge, JudgeOptions
from freehold.evals.judging.pairwise import judge_pairs
from freehold.evals.judging.told import told_answer
from freehold.evals.scorers.judge import JudgeScorer
from freehold.evals.scoring import score_all
from freehold.types.dataset import Message, Sample

PLACE = {"base_url": "http://127.0.0.1:9", "model": "j"}
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


class Listening(Judge):
    """A judge that is never asked: it keeps what it would have been asked."""

    def __init__(self, mode="pairwise"):
        super().__init__(JudgeOptions(**PLACE, mode=mode))
        self.heard = []

    async def _ask(self, messages):
        self.heard.append("\n".join(one["content"] for one in messages))
        return ("[[A]]" if self.rubric.kind == "pairwise" else "[[3]]"), None


def asked(samples, incumbent, candidate):
    """What the judge of pairs reads, with the references that evaluate compares with."""

    async def go():
        judge = Listening()
        references = [one.target for one in samples]
        columns = (
            [answer(n, "i", text) for n, text in enumerate(incumbent)],
            [answer(n, "c", text) for n, text in enumerate(candidate)],
        )
        await judge_pairs(judge, SideBySide(samples, references, *columns, "i", "c"), margin=0.1)
        return judge.heard

    return asyncio.run(go())


def sample(**fields):
    return Sample(id="s0", messages=(Message(role="user", content="what now?"),), **fields)


@given(first=TEXT, second=TEXT, recorded=st.booleans(), copied=st.booleans())
def test_no_text_of_an_answer_stands_outside_its_place(first, second, recorded, copied):
    incumbent, candidate = f"‹i›{first}", f"‹c›{second}"
    one = sample(incumbent=incumbent if recorded else None, gold=f" {incumbent}." if copied else None)
    for text in (heard := asked([one], [incumbent], [candidate])):
        assert text.count("‹i›") == text.count("‹c›") == 1
        assert text.count(incumbent) == text.count(candidate) == 1
    a, b = heard
    assert a.index("‹c›") < a.index("‹i›") and b.index("‹i›") < b.index("‹c›"), "both orders"


@given(text=TEXT)
def test_a_single_answer_is_graded_without_the_incumbents(text):
    incumbent = f"‹i›{text}"

    async def go():
        scorer = JudgeScorer({**PLACE, "mode": "absolute"})
        scorer._judge = judge = Listening("absolute")
        await score_all(scorer, "c", [sample(incumbent=incumbent)], [ChatAnswer(output="other")], [incumbent])
        await scorer.close()
        return judge.heard

    assert [heard.count("‹i›") for heard in asyncio.run(go())] == [0]


def test_gold_that_is_neither_answer_is_told():
    one = sample(incumbent="blue", gold="a deep green")
    assert told_answer(one, "blue", "red") == "a deep green"
    assert all("a deep green" in text for text in asked([one], ["blue"], ["red"]))


@pytest.mark.parametrize("gold", [None, " ", "blue", "Blue.", "RED", "`red`\n"])
def test_what_may_have_been_copied_from_an_answer_is_not_told(gold):
    assert told_answer(sample(incumbent="blue", gold=gold), "blue", "red") is None
