"""Which answers are checked because an engine's grammar does not hold all of their schema."""

import json

import pytest

from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.proxy.asking.body import may_break_schema
from freehold.gateway.proxy.exchange import new_exchange
from freehold.gateway.proxy.translation import API_ROUTES
from freehold.types.endpoint import Endpoint
from freehold.wire import openai

HELD = {"type": "object", "properties": {"a": {"type": "string"}}}
NOT_HELD = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x$"}}}
OWN = Endpoint(name="own", engine="llamacpp", base_url="http://127.0.0.1:1")


def exchange_of(path, **fields):
    exchange = new_exchange(API_ROUTES[path], MemoryBudget())
    exchange.body = json.dumps({"model": "m", **fields}).encode()
    exchange.peek = openai.peek(exchange.body)
    return exchange


def chat(schema):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    return exchange_of("/v1/chat/completions", messages=[], response_format=form)


def responses(schema):
    return exchange_of(
        "/v1/responses", input="x", text={"format": {"type": "json_schema", "name": "x", "schema": schema}}
    )


@pytest.mark.parametrize("asked", [chat, responses])
def test_what_a_grammar_does_not_hold_is_known_in_each_api(asked):
    assert may_break_schema(asked(NOT_HELD), OWN)
    assert not may_break_schema(asked(HELD), OWN)


def test_a_rented_endpoint_and_a_request_without_a_schema_are_not_looked_into():
    rented = Endpoint(name="far", engine="remote", base_url="http://127.0.0.1:1")
    assert not may_break_schema(chat(NOT_HELD), rented)
    assert not may_break_schema(exchange_of("/v1/chat/completions", messages=[]), OWN)
    assert not may_break_schema(exchange_of("/v1/responses", input="x"), OWN)


def test_a_long_schema_is_looked_into_too():
    long = {**NOT_HELD, "description": "x" * 20_000}
    assert may_break_schema(chat(long), OWN)
