"""A request is sent on as it was read."""

import json

import pytest

from freehold.wire import openai
from freehold.wire.ambiguity import unambiguous


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"cheap","model":"dear"}',
        b'{"model":"cheap","mod\\u0065l":"dear"}',
        b'{ "messages": [], "model": "cheap", "mod\\u0065l" : "dear" }',
    ],
)
def test_a_field_that_is_there_twice_is_sent_on_once_as_it_was_read_here(body):
    once = unambiguous(body)
    assert once.count(b"dear") == 1 and b"cheap" not in once and json.loads(once)["model"] == "dear"
    assert openai.peek(body).model == openai.peek(once).model == "dear"


def test_an_unambiguous_body_keeps_its_bytes():
    body = b'{ "model" : "m", "messages": [{"role": "user", "content": "1.0"}], "x": 1e999 }'
    assert unambiguous(body) is body
    assert unambiguous(b"[1, 2, \\u00e9]") == b"[1, 2, \\u00e9]"
    kept = unambiguous(b'{"model":"m","metadata":{"model":1.50},"x":1e999}')
    assert kept == b'{"model":"m","metadata":{"model":1.50},"x":1e999}'
