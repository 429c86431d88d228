"""Sessions of the agent log, and agents that play them."""

import asyncio

import msgspec
import pytest
from tests.evals import agent_log

from freehold.evals.answers import ChatAnswer
from freehold.evals.scorers import make
from freehold.evals.trajectories.playing import play
from freehold.evals.trajectories.sessions import sessions_of


@pytest.fixture(scope="session")
def sessions():
    return sessions_of(agent_log.samples(40)).sessions


def played(session, reply):
    """`reply(sample, number)` is what the model says (or a `ChatAnswer`) to its session so far."""
    asked = 0

    async def ask(sample):
        nonlocal asked
        asked += 1
        said = reply(sample, asked)
        return said if isinstance(said, ChatAnswer) else ChatAnswer(output=said)

    scorer = make("turn", {"text": "any"})
    return asyncio.run(play(session, ask, scorer))


def as_recorded(session):
    return lambda sample, number: session.decisions[number - 1].answer


def calls(*made):
    return msgspec.json.encode(
        [agent_log.call(f"n{n}", name, **given) for n, (name, given) in enumerate(made)]
    ).decode()
