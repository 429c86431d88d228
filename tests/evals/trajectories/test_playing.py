"""Recorded sessions are put together and played, by another user as well."""

import asyncio

import pytest
from tests.evals import agent_log
from tests.evals.trajectories.conftest import as_recorded, calls, played

from freehold.evals.answers import ChatAnswer
from freehold.evals.trajectories.sessions import sessions_of
from freehold.evals.trajectories.synthetic_user import SyntheticUserFailed, synthetic_user
from freehold.types.dataset import Message, Sample


def with_calls(sessions):
    return next(one for one in sessions if one.decisions[0].message.tool_calls and len(one.decisions) > 3)


def test_a_model_that_decides_as_recorded_plays_the_recording(sessions):
    for session in sessions:
        found = played(session, as_recorded(session))
        assert found.ended == "finished"
        assert [one.role for one in found.messages] == [one.role for one in session.transcript]
        tools = [one.content for one in found.messages if one.role == "tool"]
        assert tools == [one.content for one in session.transcript if one.role == "tool"]
        assert found.parted_at is None
        assert all(one.as_recorded for one in found.turns)


def test_after_the_first_other_decision_the_sessions_are_not_compared(sessions):
    session = with_calls(sessions)
    found = played(session, lambda sample, number: "words")
    assert (found.parted_at, found.turns[0].reason.partition(":")[0]) == (1, "no_call")
    assert [one.as_recorded for one in found.turns[1:]] == [None] * (len(found.turns) - 1)


def test_a_model_that_never_ends_is_ended(sessions):
    session = with_calls(sessions)
    found = played(session, lambda sample, number: calls(("escalate", {"why": str(number)})), limit=3)
    assert (found.ended, len(found.turns)) == ("turn_limit", 3)


def test_faults_end_a_session_and_are_told_apart(sessions):
    session = with_calls(sessions)
    cut = played(session, lambda *_: ChatAnswer(output="x", fault="candidate", error="cut: at the limit"))
    assert (cut.ended, cut.parted_at, cut.error) == ("fault", 1, "cut: at the limit")
    lost = played(session, lambda *_: ChatAnswer(fault="infrastructure", error="http_500: no"))
    assert (lost.ended, lost.parted_at) == ("infrastructure", None)
    broken = played(session, lambda *_: calls(("stock", {})).replace('"{}"', '"{"'))
    assert (broken.ended, broken.parted_at) == ("broken_call", 1)


def test_a_log_of_an_agent_is_put_together_again():
    samples = [one for one in agent_log.samples(40) if one.answer]
    found = sessions_of(samples)
    assert found.off_the_way == 0
    by_group = {}
    for one in samples:
        by_group.setdefault(one.group, []).append(one)
    assert [one.id for one in found.sessions] == list(by_group)
    for session in found.sessions:
        members = by_group[session.id]
        assert session.decisions[-1].answer == session.final_answer == members[-1].target
        assert session.opening == members[0].messages
        assert session.transcript == (*members[-1].messages, *members[-1].answer)
        if len(session.decisions) == len(members):  # else a refusal in the API's own field stands between
            assert [one.asking for one in members] == list(session.asking)


def test_what_lies_off_the_longest_way_is_counted():
    def sample(id, *texts, answer="a"):
        messages = tuple(
            Message(role="assistant" if place % 2 else "user", content=text)
            for place, text in enumerate(texts)
        )
        return Sample(id=id, messages=messages, gold=answer, group="g")

    found = sessions_of([sample("1", "q"), sample("2", "q", "a", "more"), sample("3", "q", "b")])
    (session,) = found.sessions
    assert found.off_the_way == 1
    assert [one.answer for one in session.decisions] == ["a", "a"]
    assert session.users == ((Message(role="user", content="more"),),)


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


def test_one_that_does_not_answer_leaves_the_session_without_a_judgement(sessions):
    next_user, _ = user(sessions[0], [ChatAnswer(fault="infrastructure", error="http_500: no")])
    with pytest.raises(SyntheticUserFailed, match="http_500"):
        asyncio.run(next_user(sessions[0].opening, 0))
    next_user, _ = user(sessions[0], [" "])
    with pytest.raises(SyntheticUserFailed, match="said nothing"):
        asyncio.run(next_user(sessions[0].opening, 0))
