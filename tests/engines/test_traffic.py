"""The load driver against echo, whose speed and failures are known; request bodies."""

import contextlib

import aiohttp.web
import pytest
from tests.engines.conftest import serving

from freehold import engines
from freehold.engines.traffic import drive, from_bodies, knee, rates, refusal, synthetic
from freehold.errors import UpstreamError, UsageError
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.serving import LoadLevel, Quantiles

pytestmark = pytest.mark.anyio


def echo(**options):
    return ServePlan(engine="echo", model="m", parallel=4, options={"in_process": True, **options})


@contextlib.asynccontextmanager
async def answering(reply):
    """An endpoint that answers every chat with `reply`."""
    async with serving(reply) as url:
        yield Endpoint(name="e", engine="remote", base_url=url)


def level(streams, rate):
    none = Quantiles(n=0)
    return LoadLevel(
        streams=streams, seconds=1, requests=1, errors={}, requests_per_second=1, prompt_tokens_per_second=0,
        completion_tokens_per_second=rate, ttft_ms=none, inter_token_ms=none, total_ms=none,
    )  # fmt: skip


async def test_times_are_those_the_endpoint_takes(tmp_path):
    plan = echo(delay_ms=40, token_delay_ms=10)
    workload = synthetic(prompt_tokens=20, completion_tokens=5)
    async with engines.start(plan, log_dir=tmp_path, name="e") as endpoint:
        one, two = await drive(endpoint, "m", workload, [1, 2], seconds=0.6)
    # Never less than the endpoint takes; how much more depends on what else the machine does.
    assert one.ttft_ms.p50 >= 45 and one.inter_token_ms.p50 >= 9 and one.total_ms.p50 >= 90
    assert one.total_ms.p50 >= one.ttft_ms.p50
    assert one.completion_tokens_per_second == pytest.approx(one.requests_per_second * 5, rel=0.3)
    assert two.requests > 0 and not one.errors and not two.errors


async def test_rates_are_those_of_each_request_after_the_first(tmp_path):
    workload = synthetic(prompt_tokens=20, completion_tokens=5)
    async with engines.start(echo(delay_ms=40, token_delay_ms=10), log_dir=tmp_path, name="e") as endpoint:
        found = await rates(endpoint, "m", workload, rounds=2)
        with pytest.raises(UpstreamError, match="wrote too little"):
            await rates(endpoint, "m", synthetic(prompt_tokens=20, completion_tokens=1), rounds=1)
    assert len(found) == 2
    assert all(0 < one.prompt <= 23 / 0.04 and 0 < one.completion <= 1 / 0.009 for one in found)
    gone = Endpoint(name="gone", engine="remote", base_url="http://127.0.0.1:9")
    with pytest.raises(UpstreamError, match="did not answer: unreachable"):
        await rates(gone, "m", workload, rounds=1)


async def test_failures_are_counted_by_kind(tmp_path):
    workload = synthetic(prompt_tokens=4, completion_tokens=2)
    async with engines.start(
        echo(failure_rate=0.5, failure_status=429, delay_ms=2), log_dir=tmp_path, name="e"
    ) as endpoint:
        (level,) = await drive(endpoint, "m", workload, [2], seconds=0.5)
    assert set(level.errors) == {"status 429"}
    assert level.requests > 0
    gone = Endpoint(name="gone", engine="remote", base_url="http://127.0.0.1:9")
    (level,) = await drive(gone, "m", workload, [1], seconds=0.2)
    assert set(level.errors) == {"unreachable"} and level.requests == 0


async def test_an_error_within_a_stream_is_one():
    async def reply(request):
        stream = aiohttp.web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(b'data: {"error": {"message": "the cache is full"}}\n\n')
        return stream

    async with answering(reply) as endpoint:
        workload = synthetic(prompt_tokens=4, completion_tokens=2)
        assert await refusal(endpoint, "m", workload) == "error in the stream: the cache is full"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "too many"}}', "status 429: too many"),
        (b'{"error": "too many"}', "status 429: too many"),
        (b'{"detail": "too many"}', "status 429: too many"),
        (b"<html>", "status 429"),
    ],
)
async def test_a_refusal_is_told_in_the_endpoints_words(body, said):
    async def reply(request):
        return aiohttp.web.Response(status=429, body=body)

    async with answering(reply) as endpoint:
        workload = synthetic(prompt_tokens=4, completion_tokens=2)
        assert await refusal(endpoint, "m", workload) == said


@pytest.mark.parametrize("line", [b"data: 1\n\n", b"data: {\n\n", b""])
async def test_what_is_no_stream_of_answers_is_cut_off(line):
    async def reply(request):
        return aiohttp.web.Response(body=line)

    async with answering(reply) as endpoint:
        (level,) = await drive(
            endpoint, "m", synthetic(prompt_tokens=4, completion_tokens=2), [1], seconds=0.1
        )
    assert set(level.errors) == {"cut off"}


async def test_the_knee_is_the_fewest_streams_near_the_best():
    assert knee([level(1, 10), level(4, 38), level(8, 40), level(32, 41)]) == 4
    assert knee([level(1, 0)]) is None
    assert knee([]) is None


async def test_made_up_prompts_share_what_they_should():
    workload = synthetic(prompt_tokens=10, shared_prefix_tokens=6, completion_tokens=3, count=20)
    texts = [body["messages"][0]["content"].split() for body in workload.bodies]
    assert len({tuple(words[:6]) for words in texts}) == 1
    assert len({tuple(words) for words in texts}) == 20
    with pytest.raises(UsageError):
        synthetic(prompt_tokens=5, shared_prefix_tokens=5, completion_tokens=1)


async def test_recorded_requests_keep_what_matters():
    asked = {"model": "gpt", "stream": True, "messages": [{"role": "user", "content": "x"}], "seed": 1}
    workload = from_bodies([asked, {"input": "embedding"}], about="a file", completion_tokens=9)
    assert workload.bodies == [{"messages": asked["messages"], "max_tokens": 9, "temperature": 0}]
    with pytest.raises(UsageError, match="no request with messages in a file"):
        from_bodies([{}], about="a file", completion_tokens=9)
