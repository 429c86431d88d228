import asyncio

import pytest
from tests.evals.chat.conftest import QUICK

from freehold.errors import UpstreamError
from freehold.evals.chat.answer_cache import AnswerCache
from freehold.evals.chat.asker import Asker, Budget
from freehold.evals.chat.chat_client import ChatClient
from freehold.types.endpoint import Endpoint


def asked(endpoint, keys, *, budget=None, path=None):
    async def go():
        with AnswerCache(path) as cache:
            async with ChatClient(endpoint, concurrency=1, patience=QUICK) as client:
                asker = Asker(client, cache, budget, len(keys))
                body = {"model": "m", "messages": [{"role": "user", "content": "say x"}]}
                return [await asker.ask(key, body) for key in keys]

    return go()


def run(serve, keys, **options):
    async def go():
        async with serve(lambda body, attempt: "x") as server:
            return await asked(server.endpoint, keys, **options), len(server.seen)

    return asyncio.run(go())


def test_what_was_asked_is_not_asked_again(serve, tmp_path):
    path = tmp_path / "kept.jsonl"
    found, requests = run(serve, ["a", "b", "a"], path=path)
    assert ([cached for _, cached in found], requests) == ([False, False, True], 2)
    found, requests = run(serve, ["b", "c"], path=path)
    assert ([cached for _, cached in found], requests) == ([True, False], 1)


def test_beyond_the_budget_nothing_is_asked(serve):
    found, requests = run(serve, ["a", "b", "c"], budget=Budget(requests=2))
    assert (requests, found[2][0].fault, found[2][0].error) == (
        2,
        "infrastructure",
        "budget_spent: 2 of 2 requests",
    )
    found, requests = run(serve, ["a", "b"], budget=Budget(tokens=5))
    assert requests == 1


def test_where_nobody_answers_it_ends():
    nowhere = Endpoint(name="n", engine="remote", base_url="http://127.0.0.1:9")
    with pytest.raises(UpstreamError, match="can't be reached"):
        asyncio.run(asked(nowhere, ["a", "b"]))
