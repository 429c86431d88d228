"""A model in the user's place: it knows what the recorded user wanted, and answers what the played model really says.

Asked in the user's role of any endpoint, with a seed, within the replay's budget. It says `DONE` when the recorded user
would have nothing left to say. What it says is made up: a trajectory with it shows how a model talks with such a user,
not with yours.
"""

from __future__ import annotations

from collections.abc import Sequence

from freehold.evals.answers import ChatAnswer
from freehold.evals.trajectories.playing import Ask, NextUser
from freehold.evals.trajectories.sessions import RecordedSession, answer_text
from freehold.types.asking import RecordedAsking
from freehold.types.dataset import Message, Sample
from freehold.types.record import content_id

DONE = "DONE"
_MOST_TOKENS = 200
_INSTRUCTION = """You play the user of an assistant. In a recorded conversation the user said, in this order:

{said}

Say what this user would say next to the assistant's last answer, as shortly as the user did. Give only facts that the \
user gave. When everything the user wanted has been dealt with, answer with the single word {done}."""


class SyntheticUserFailed(Exception):
    """The endpoint of the synthetic user gave no answer; the session cannot be judged."""


def synthetic_user(session: RecordedSession, ask: Ask, *, seed: int, most: int) -> NextUser:
    """What the user says next, at most `most` times. The user's own words so far stand in the opening."""
    goal = [
        answer_text(one)
        for group in ([one for one in session.opening if one.role == "user"][-1:], *session.users)
        for one in group
        if one.role == "user"
    ]
    instruction = _INSTRUCTION.format(said="\n".join(f"- {one}" for one in goal), done=DONE)

    async def next_user(messages: Sequence[Message], times_said: int) -> tuple[Message, ...] | None:
        if times_said >= most:
            return None
        turned = [Message(role="system", content=instruction), *_turned(messages)]
        answer: ChatAnswer = await ask(
            Sample(
                id=content_id([session.id, times_said]),
                messages=tuple(turned),
                asking=RecordedAsking(seed=seed, max_tokens=_MOST_TOKENS),
            )
        )
        if answer.fault is not None or not (answer.output or "").strip():
            raise SyntheticUserFailed(answer.error or "empty: the synthetic user said nothing")
        said = (answer.output or "").strip()
        return None if said.strip(".!\"' ").upper() == DONE else (Message(role="user", content=said),)

    return next_user


def _turned(messages: Sequence[Message]) -> list[Message]:
    """The conversation with the roles changed: to the user, the assistant is the one who asks."""
    role = {"user": "assistant", "assistant": "user"}
    return [
        Message(role=role[one.role], content=text)
        for one in messages
        if one.role in role and not one.tool_calls and (text := answer_text(one))
    ]
