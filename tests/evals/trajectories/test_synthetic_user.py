import asyncio

import pytest
from tests.evals.trajectories.conftest import played

from freehold.evals.answers import ChatAnswer
from freehold.evals.trajectories.synthetic_user import SyntheticUserFailed, synthetic_user


def user(session, replies, *, most=5):
    seen = []

    async def ask(sample):
        seen.append(sample)
        said = replies[len(seen) - 1]
        return said if isinstance(said, ChatAnswer) else ChatAnswer(output=said)

    return synthetic_user(session, ask, seed=7, most=most), seen


def test_it_answers_what_the_model_says_and_knows_what_the_recorded_user_wanted(sessions):
    session = next(one for one in sessions if one.users)
    next_user, seen = user(session, ["And when?", "Done."])
    found = played(session, lambda sample, number: f"words {number}", next_user=next_user)
    assert found.ended == "finished"
    assert [one.content for one in found.messages if one.role == "user"][-1] == "And when?"
    assert [one.asking.seed for one in seen] == [7, 7]
    instruction = seen[0].messages[0].content
    assert all(str(one.content) in instruction for group in session.users for one in group)
    assert seen[0].messages[-1].role == "user", (
        "to the one who plays the user, the assistant is the other side"
    )
    assert seen[0].messages[-1].content == "words 1"


def test_it_speaks_no_more_often_than_allowed(sessions):
    next_user, seen = user(sessions[0], ["more"] * 9, most=2)
    found = played(sessions[0], lambda sample, number: "words", limit=20, next_user=next_user)
    assert (found.ended, len(seen)) == ("finished", 2)


def test_one_that_does_not_answer_leaves_the_session_without_a_judgement(sessions):
    next_user, _ = user(sessions[0], [ChatAnswer(fault="infrastructure", error="http_500: no")])
    with pytest.raises(SyntheticUserFailed, match="http_500"):
        asyncio.run(next_user(sessions[0].opening, 0))
    next_user, _ = user(sessions[0], [" "])
    with pytest.raises(SyntheticUserFailed, match="said nothing"):
        asyncio.run(next_user(sessions[0].opening, 0))
