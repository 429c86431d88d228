"""What is counted of an answer against limits."""

import pytest

from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.proxy.exchange import new_exchange
from freehold.gateway.proxy.translation import API_ROUTES
from freehold.types.endpoint import Endpoint


def counted(*kept, api="openai", status=200):
    exchange = new_exchange(API_ROUTES["/v1/chat/completions"], MemoryBudget())
    exchange.body = b"x" * 40
    exchange.status = status
    exchange.answered_by = Endpoint(name="e", engine="remote", api=api, base_url="http://127.0.0.1:1")
    for part in kept:
        exchange.add_chunk(part)
    return exchange.tokens()


@pytest.mark.parametrize(
    ("kept", "api", "tokens"),
    [
        ([b'{"usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}'], "openai", 12),
        ([b'{"usage":{"input_tokens":9,"output_tokens":3}}'], "anthropic", 12),
        ([b'{"usage":{"input_tokens":9,"cache_read_input_tokens":5,"output_tokens":3}}'], "anthropic", 17),
        (
            [
                b'data: {"usage":{"input_tokens":9,"output_tokens":1}}\n\n',
                *[b"data: {}\n\n"] * 50,
                b'data: {"usage":{"output_tokens":3}}\n\n',
            ],
            "anthropic",
            12,
        ),
        ([b"data: {}\n\n", b"data: {}\n\n"], "openai", 12),
    ],
)
def test_tokens_are_read_in_every_apis_words_or_estimated(kept, api, tokens):
    assert counted(*kept, api=api) == tokens


def test_an_error_costs_nothing():
    assert counted(b'{"error": {}}', status=429) == 0
