import json

import pytest

from freehold.gateway.caching.repeatable import (
    is_repeatable,
    key_of,
    tenant_of,
    told_by_headers,
)
from freehold.gateway.limits.keys import new_key
from freehold.types.route import CacheTerms

TERMS = CacheTerms()
ASKED = {
    "model": "m",
    "messages": [{"role": "user", "content": 'the word "url" is harmless'}],
    "temperature": 0,
}
FUNCTION = {"type": "function", "function": {"name": "find", "parameters": {"properties": {"url": {}}}}}


def repeatable(kind="chat", terms=TERMS, **changes):
    return is_repeatable(kind, json.dumps({**ASKED, **changes}).encode(), terms)


def picture(kind):
    return [{"role": "user", "content": [{"type": kind, kind: {"url": "https://x/1.png"}}]}]


@pytest.mark.parametrize(
    ("changes", "yes"),
    [
        ({}, True),
        ({"temperature": 1, "seed": 3}, True),
        ({"tools": [], "functions": None}, True),
        ({"temperature": 1}, False),
        ({"temperature": False}, False),
        ({"temperature": "0"}, False),
        ({"temperature": 1, "seed": True}, False),
        ({"n": 2}, False),
        ({"store": True}, False),
        ({"web_search_options": {"user_location": None}}, False),
        ({"mcp_servers": [{"url": "x"}]}, False),
        ({"tools": [FUNCTION]}, False),
        ({"messages": picture("image_url")}, False),
        ({"messages": picture("file_id")}, False),
    ],
)
def test_which_chats_have_one_answer(changes, yes):
    assert repeatable(**changes) is yes


def test_responses_must_not_be_stored_or_continued():
    assert not repeatable("responses") and repeatable("responses", store=False)
    assert not repeatable("responses", store=False, previous_response_id="r")
    assert not repeatable("responses", store=False, background=True)
    assert not repeatable("responses", store=False, prompt={"id": "p"})
    assert repeatable("completions", prompt="Once upon"), "there it is the text"


def test_equal_requests_have_one_key_and_others_never():
    one = b'{"model":"m","temperature":0,"messages":[]}'
    assert key_of([b"a"], one) == key_of([b"a"], b'{ "messages": [], "temperature":0,"model":"m" }')
    others = [
        key_of([b"a"], one),
        key_of([b"b"], one),
        key_of([b"a", b""], one),
        key_of([b"a"], one.replace(b"0", b"0.0")),
        key_of([b"a"], one.replace(b'"m"', b'"n"')),
        key_of([b"a"], one.replace(b"}", b',"stream":true}')),
    ]
    assert len(set(others)) == len(others)


def test_whose_answers_are_whose():
    own, other = (("authorization", f"Bearer {new_key()}") for _ in range(2))
    assert tenant_of("ada", [own], shared=False) == tenant_of("ada", [other], shared=False)
    assert tenant_of("ada", [own], shared=False) != tenant_of("bob", [own], shared=False)
    assert tenant_of("ada", [own], shared=True) == tenant_of("bob", [other], shared=True)
    theirs = [("authorization", "Bearer sk-1")], [("authorization", "Bearer sk-2")]
    assert tenant_of(None, theirs[0], shared=True) != tenant_of(None, theirs[1], shared=True)
    named = [own, ("x-tenant-id", "acme")]
    assert tenant_of("ada", [own], shared=True) != tenant_of("ada", named, shared=True)


def test_headers_count_unless_they_are_known_not_to():
    plain = told_by_headers([("content-type", "application/json")])
    same = [("x-request-id", "1"), ("content-type", "application/json"), ("x-stainless-os", "Linux")]
    assert told_by_headers(same) == plain
    assert told_by_headers([("anthropic-beta", "x"), ("content-type", "application/json")]) != plain
