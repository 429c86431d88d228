"""What an endpoint's answer to an empty request says."""

import asyncio
import json

import pytest
from tests.gateway.loopback import plain

from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.spoken import SpokenApis, has_responses
from freehold.gateway.http.upstreams import Upstreams
from freehold.types.endpoint import Endpoint


@pytest.mark.parametrize(
    ("status", "body", "has"),
    [
        (400, {"error": {"message": "Missing required parameter: 'model'."}}, True),
        (422, {"detail": []}, True),
        (404, {"detail": "Not Found"}, False),
        (404, {"error": {"message": "Invalid URL (POST /v1/responses)", "code": None}}, False),
        (404, {"error": {"message": "no model", "param": "model"}}, True),
        (404, {"error": {"code": "model_not_found"}}, True),
        (404, [1], False),
        (405, {}, False),
        (501, {}, False),
        (200, {"object": "response"}, True),
        (200, {"object": "chat.completion"}, False),
        (401, {}, None),
        (403, {}, None),
        (429, {}, None),
        (500, {}, None),
        (0, {}, None),
    ],
)
def test_what_an_answer_to_an_empty_request_says(status, body, has):
    assert has_responses(status, json.dumps(body).encode()) is has


def test_many_that_ask_at_once_wait_for_one_question(upstream):
    upstream.answer = lambda seen: plain({}, status=404, delay=0.2)

    async def ask():
        endpoint = Endpoint(name="e", engine="remote", base_url=upstream.base_url)
        upstreams = Upstreams(GatewayConfig(endpoints=(endpoint,)))
        spoken = SpokenApis(upstreams)
        asked = (
            spoken.responses(endpoint, [("authorization", "Bearer x")], pass_credentials=True)
            for _ in range(9)
        )
        try:
            return await asyncio.gather(*asked)
        finally:
            await upstreams.close()

    assert asyncio.run(ask()) == [False] * 9
    assert [seen.body for seen in upstream.seen] == [b"{}"]
    # It is no endpoint that clients mean with their keys.
    assert "authorization" not in upstream.seen[0].headers
