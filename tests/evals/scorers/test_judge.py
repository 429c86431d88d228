"""The `judge` scorer on a loopback endpoint: grades single answers, abstains on pairs."""

import asyncio

import pytest

from freehold.evals.scorers import make
from freehold.types.dataset import Message, Sample

SAMPLE = Sample(
    id="s", messages=(Message(role="user", content="Where is my lamp?"),), gold="In the lamp box."
)


def graded(serve, reply, *answers, **options):
    async def go():
        async with serve(reply, streaming=False) as server:
            scorer = make(
                "judge", {"base_url": server.endpoint.base_url, "model": "j", "mode": "absolute", **options}
            )
            given = []
            for answer in answers:
                given.append(await scorer.score(SAMPLE, answer, "Whatever it is compared with."))
                await scorer.close()
            return given, server

    return asyncio.run(go())


def test_a_grade_becomes_a_share_of_the_scale(serve):
    grades = iter(("[[1]]", "[[3]]", "[[5]]"))
    given, server = graded(serve, lambda body, attempt: f"Hm. {next(grades)}", "a", "b", "c")
    assert [one.value for one in given] == [0.0, 0.5, 1.0]
    assert given[1].reason == "graded: 3 of 5"
    asked = server.seen[0]["messages"][-1]["content"]
    assert "Where is my lamp?" in asked
    assert "In the lamp box." in asked and "Whatever" not in asked


@pytest.mark.parametrize(("said", "code"), [("Fine!", "judge_unreadable"), ("[[11]]", "judge_unreadable")])
def test_a_judgement_that_cannot_be_read_is_unscored(serve, said, code):
    (given,), _ = graded(serve, lambda body, attempt: said, "a")
    assert given.value is None
    assert given.reason.startswith(code)


def test_an_empty_answer_needs_no_judge_and_a_single_one_no_pairwise_judge(serve):
    (empty,), server = graded(serve, lambda body, attempt: "[[5]]", " ")
    assert (empty.value, empty.format_ok, server.seen) == (0.0, False, [])
    (alone,), server = graded(serve, lambda body, attempt: "[[A]]", "a", mode="pairwise")
    assert (alone.value, server.seen) == (None, [])
    assert alone.reason.startswith("pairwise")
