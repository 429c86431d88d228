"""Timed requests to echo, whose speed and failures are known, and to endpoints that fail."""

import contextlib

import aiohttp.web
import pytest
from tests.engines.conftest import serving

from freehold import engines
from freehold.engines.traffic import made_up, rates
from freehold.errors import UpstreamError
from freehold.types.endpoint import Endpoint, ServePlan

pytestmark = pytest.mark.anyio
BODIES = made_up(3, prompt_tokens=20, completion_tokens=5)


def echo(**options):
    return ServePlan(engine="echo", model="m", parallel=4, options={"in_process": True, **options})


@contextlib.asynccontextmanager
async def answering(reply):
    """An endpoint that answers every chat with `reply`."""
    async with serving(reply) as url:
        yield Endpoint(name="e", engine="remote", base_url=url)


async def test_rates_are_those_of_each_request_after_the_first(tmp_path):
    async with engines.start(echo(delay_ms=40, token_delay_ms=10), log_dir=tmp_path, name="e") as endpoint:
        found = await rates(endpoint, "m", BODIES)
        with pytest.raises(UpstreamError, match="wrote too little"):
            await rates(endpoint, "m", made_up(1, prompt_tokens=20, completion_tokens=1))
    assert len(found) == 2
    # Never faster than the endpoint; how much slower depends on what else the machine does.
    assert all(0 < one.prompt <= 23 / 0.04 and 0 < one.completion <= 1 / 0.009 for one in found)


async def test_an_endpoint_that_is_gone_is_told():
    gone = Endpoint(name="gone", engine="remote", base_url="http://127.0.0.1:9")
    with pytest.raises(UpstreamError, match=r"m did not answer: Cannot connect to host 127\.0\.0\.1:9"):
        await rates(gone, "m", BODIES)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (429, b'{"error": {"message": "too many"}}', "m did not answer: status 429: too many"),
        (200, b'data: {"error": {"message": "full"}}\n\n', "m did not answer: the model stopped .*: full"),
        (200, b"data: {\n\n", "m did not answer: "),
        (200, b'data: {"choices": 1}\n\n', "m did not answer: "),
        (200, b"", "m did not answer: its stream was cut off"),
        (200, b"data: [DONE]\n\n", "m answered without counting its tokens"),
    ],
)
async def test_what_is_no_whole_answer_is_told(status, body, message):
    async def reply(request):
        return aiohttp.web.Response(status=status, body=body)

    async with answering(reply) as endpoint:
        with pytest.raises(UpstreamError, match=message):
            await rates(endpoint, "m", BODIES)


async def test_made_up_prompts_share_nothing():
    texts = {body["messages"][0]["content"] for body in made_up(20, prompt_tokens=10, completion_tokens=3)}
    assert len(texts) == 20 and {len(text.split()) for text in texts} == {10}
