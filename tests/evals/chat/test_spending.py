"""What a request may cost, and a cap on all of them."""

import asyncio

import pytest
from aiohttp import web
from tests.evals.chat.conftest import QUICK, run, said

from freehold.errors import UsageError
from freehold.evals.client import ChatClient, HeldSpending, answer_tokens, limited, spending_cap, unbounded

BODY = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
CALLED_HERE = [{"type": "function", "function": {"name": "f"}}, {"type": "custom"}]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": CALLED_HERE, "modalities": ["text"]},
        {"tools": None, "modalities": None},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
    ],
)
def test_text_with_a_limit_has_a_bound(fields):
    assert unbounded(BODY | fields) is None


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"max_tokens": None}, "no limit"),
        ({"max_completion_tokens": 0}, "no limit"),
        ({"tools": [*CALLED_HERE, {"type": "web_search"}, "x"]}, "None, web_search"),
        ({"tools": "all"}, "?"),
        ({"audio": {}}, "sound"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "more than text"),
    ],
)
def test_what_has_none_is_said(fields, why):
    assert why in (unbounded(BODY | fields) or "")


def test_of_two_limits_the_larger_is_the_bound():
    assert answer_tokens({"max_tokens": 10, "max_completion_tokens": 20}) == 20


def test_a_limit_is_said_where_there_is_none():
    assert limited({"max_tokens": None}, 7) == {"max_tokens": 7}
    for limit in ({"max_completion_tokens": 3}, {"max_tokens": "x"}):
        assert limited(limit, 7) == limit


class Counted:
    """A cap that counts; `most` tries are let through."""

    def __init__(self, most=99):
        self.most, self.held, self.settled = most, 0, []

    async def hold(self, endpoint, body):
        if self.held == self.most:
            raise UsageError("spent")
        self.held += 1
        return HeldSpending(body["model"], endpoint.base_url, 1)

    def settle(self, held, answer):
        self.settled.append(None if answer is None else answer.error)


@pytest.fixture
def under():
    tokens = []
    yield lambda cap: tokens.append(spending_cap.set(cap)) or cap
    for token in reversed(tokens):
        spending_cap.reset(token)


def test_each_try_is_held_and_settled_with_what_came_of_it(serve, samples, under):
    cap = under(Counted())

    def flaky(body, attempt):
        return web.Response(status=503, text="busy") if attempt < 3 else said(body, attempt)

    results, server = run(serve, flaky, samples(1))
    assert results[0].score.value == 1.0 and cap.held == len(server.seen) == 3
    assert cap.settled == ["http_503: busy", "http_503: busy", None]


def test_what_the_cap_does_not_cover_is_not_sent_and_ends_the_replay(serve, samples, under):
    under(Counted(most=2))
    seen = []

    def answer(body, attempt):
        seen.append(body)
        return said(body, attempt)

    with pytest.raises(UsageError, match="spent"):
        run(serve, answer, samples(9), concurrency=1)
    assert len(seen) == 2


def test_a_wrong_key_is_settled_as_refused_and_a_try_that_is_cancelled_as_unknown(serve, samples, under):
    cap = under(Counted())
    with pytest.raises(Exception, match="401"):
        run(serve, lambda body, attempt: web.Response(status=401, text="no"), samples(1))
    assert [one.startswith("refused_request") for one in cap.settled] == [True]

    async def cancelled():
        async def slow(body, attempt):
            await asyncio.sleep(9)

        async with (
            serve(slow) as server,
            ChatClient(server.endpoint, concurrency=1, patience=QUICK) as client,
        ):
            asked = asyncio.create_task(client.ask({"model": "m", "messages": []}))
            while not cap.held > 1:
                await asyncio.sleep(0.01)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    asyncio.run(cancelled())
    assert cap.settled[1:] == [None]
