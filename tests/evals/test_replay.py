import asyncio
import json

import pytest
from aiohttp import web

from freehold.errors import UpstreamError, UsageError
from freehold.evals.replay.chat_client import Patience
from freehold.evals.replay.run import Budget, ReplayOptions, replay
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.evaluation import Task

TASK = Task(name="t", scorer="exact", max_tokens=9)
QUICK = Patience(attempts=3, first_wait_seconds=0.01, request_seconds=5)


def said(body, attempt):
    return body["messages"][-1]["content"].removeprefix("say ")


def run(serve, reply, samples, *, endpoint=None, **options):
    """Replay against a fresh loopback endpoint; returns the results and the server."""
    server_options = {key: options.pop(key) for key in ("streaming", "finish_reason") if key in options}
    options.setdefault("patience", QUICK)
    model = options.pop("model", "m")
    task = options.pop("task", TASK)
    asking = {key: options.pop(key) for key in ReplayOptions._fields if key in options}

    async def go():
        async with serve(reply, **server_options) as server:
            target = endpoint(server.endpoint) if endpoint else server.endpoint
            return await replay(
                target, model, samples, task, options=ReplayOptions(**asking), **options
            ), server

    return asyncio.run(go())


@pytest.mark.parametrize("streaming", [True, False])
def test_answers_come_in_order_with_usage_and_times(serve, samples, streaming):
    results, server = run(serve, said, samples(20), concurrency=4, streaming=streaming)
    assert [one.output for one in results] == [str(i) for i in range(20)]
    assert all(one.score.value == 1.0 for one in results)
    assert results[0].usage.prompt_tokens == 7
    assert results[0].total_ms > 0
    assert (results[0].ttft_ms is not None) is streaming
    assert server.most_in_flight <= 4
    assert server.seen[0]["max_tokens"] == 9
    assert server.seen[0]["temperature"] == 0.0


def test_concurrency_is_used(serve, samples):
    async def slow(body, attempt):
        await asyncio.sleep(0.03)
        return "x"

    _, server = run(serve, slow, samples(12), concurrency=6)
    assert server.most_in_flight == 6


def test_extra_body_of_the_served_model_is_sent(serve, samples):
    served = ServedModel(name="base:ad", upstream_name="base", extra_body={"lora": [{"id": 0, "scale": 1.0}]})

    def with_adapter(endpoint):
        return Endpoint(name="e", engine="llamacpp", base_url=endpoint.base_url, models=(served,))

    _, server = run(serve, said, samples(1), endpoint=with_adapter, model="base:ad")
    assert server.seen[0]["model"] == "base"
    assert server.seen[0]["lora"] == [{"id": 0, "scale": 1.0}]
    with pytest.raises(UsageError, match="does not serve other"):
        run(serve, said, samples(1), endpoint=with_adapter, model="other")


def test_tool_calls_are_put_together_from_pieces(serve, samples):
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    results, _ = run(serve, lambda body, attempt: calls, samples(1))
    assert json.loads(results[0].output) == calls


def test_server_errors_are_retried(serve, samples):
    def flaky(body, attempt):
        return web.Response(status=503, text="busy") if attempt < 3 else said(body, attempt)

    results, server = run(serve, flaky, samples(3))
    assert [one.score.value for one in results] == [1.0, 1.0, 1.0]
    assert len(server.seen) == 9


def test_a_third_failing_for_good_is_unscored_with_the_reason(serve, samples):
    def third(body, attempt):
        return (
            web.json_response({"error": {"message": "boom"}}, status=500)
            if int(said(body, 0)) % 3 == 0
            else said(body, 0)
        )

    results, _ = run(serve, third, samples(9))
    unscored = [one for one in results if one.score.value is None]
    assert len(unscored) == 3
    assert unscored[0].score.reason == "http_500: boom"
    assert sum(one.score.value or 0 for one in results) == 6


def test_retry_after_is_honoured_by_every_worker(serve, samples):
    times = []

    def limited(body, attempt):
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            return web.Response(status=429, headers={"retry-after": "0.3"})
        return said(body, attempt)

    results, _ = run(serve, limited, samples(2), concurrency=1)
    assert times[1] - times[0] >= 0.29
    assert all(one.score.value == 1.0 for one in results)


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (400, "the request exceeds the available context size", "context_overflow"),
        (422, "cannot do tools", "refused_request"),
    ],
)
def test_a_request_the_model_cannot_take_scores_zero(serve, samples, status, message, code):
    def refuse(body, attempt):
        if said(body, 0) == "0":
            return web.json_response({"error": {"message": message}}, status=status)
        return said(body, 0)

    results, _ = run(serve, refuse, samples(2))
    assert results[0].score.value == 0.0
    assert not results[0].score.format_ok
    assert results[0].score.reason.startswith(code)


def test_a_cut_answer_scores_zero(serve, samples):
    results, _ = run(serve, said, samples(1), finish_reason="length")
    assert results[0].score.value == 0.0
    assert results[0].score.reason.startswith("cut")


def test_an_answer_over_the_time_limit_is_the_models_fault(serve, samples):
    async def stuck(body, attempt):
        await asyncio.sleep(1 if said(body, 0) == "0" else 0)
        return said(body, 0)

    results, _ = run(serve, stuck, samples(2), patience=Patience(request_seconds=0.2))
    assert [one.score.value for one in results] == [0.0, 1.0]
    assert results[0].error.startswith("timeout")


def test_refusing_everything_is_an_error_not_a_verdict(serve, samples):
    def refuse(body, attempt):
        return web.json_response({"error": {"message": "no"}}, status=400)

    with pytest.raises(UpstreamError, match="refuses every request: refused_request: 400 no"):
        run(serve, refuse, samples(3))


@pytest.mark.parametrize("status", [401, 404])
def test_a_wrong_key_or_model_stops_at_once(serve, samples, status):
    with pytest.raises(UpstreamError, match=f"answered {status}: nope") as raised:
        run(serve, lambda body, attempt: web.json_response({"error": "nope"}, status=status), samples(50))
    assert raised.value.hint


def test_nobody_there_stops_soon(samples, unused_port):
    endpoint = Endpoint(name="e", engine="remote", base_url=f"http://127.0.0.1:{unused_port}")
    with pytest.raises(UpstreamError, match="can't be reached"):
        asyncio.run(replay(endpoint, "m", samples(100), TASK, options=ReplayOptions(patience=QUICK)))


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_parameters_an_api_names_otherwise_are_learnt(serve, samples):
    def picky(body, attempt):
        if "max_tokens" in body:
            return web.json_response(
                {"error": {"message": "max_tokens is not supported, use max_completion_tokens"}}, status=400
            )
        assert body["max_completion_tokens"] == 9
        return said(body, attempt)

    results, _ = run(serve, picky, samples(2), concurrency=1)
    assert [one.score.value for one in results] == [1.0, 1.0]


def test_resume_asks_only_what_is_missing(serve, samples, tmp_path):
    cache = tmp_path / "answers.jsonl"

    async def go():
        async with serve(said) as server:
            await replay(server.endpoint, "m", samples(5), TASK, options=ReplayOptions(cache_path=cache))
            first = len(server.seen)
            results = await replay(
                server.endpoint, "m", samples(8), TASK, options=ReplayOptions(cache_path=cache)
            )
            again = len(server.seen)
            other = Task(name="t", scorer="exact", max_tokens=10)
            await replay(server.endpoint, "m", samples(8), other, options=ReplayOptions(cache_path=cache))
            return first, again, len(server.seen), results

    first, again, last, results = asyncio.run(go())
    assert (first, again, last) == (5, 8, 16)
    assert [one.output for one in results] == [str(i) for i in range(8)]


def test_a_cut_last_line_of_the_cache_is_asked_again(serve, samples, tmp_path):
    cache = tmp_path / "answers.jsonl"

    async def go():
        async with serve(said) as server:
            await replay(
                server.endpoint, "m", samples(5), TASK, options=ReplayOptions(cache_path=cache, concurrency=1)
            )
            cache.write_bytes(cache.read_bytes()[:-20])
            await replay(
                server.endpoint, "m", samples(5), TASK, options=ReplayOptions(cache_path=cache, concurrency=1)
            )
            await replay(
                server.endpoint, "m", samples(5), TASK, options=ReplayOptions(cache_path=cache, concurrency=1)
            )
            return len(server.seen)

    assert asyncio.run(go()) == 6


def test_failures_are_not_kept(serve, samples, tmp_path):
    cache = tmp_path / "answers.jsonl"
    broken = True

    def reply(body, attempt):
        return web.Response(status=500) if broken else said(body, attempt)

    async def go():
        nonlocal broken
        async with serve(reply) as server:
            first = await replay(
                server.endpoint,
                "m",
                samples(2),
                TASK,
                options=ReplayOptions(cache_path=cache, patience=QUICK),
            )
            broken = False
            second = await replay(
                server.endpoint,
                "m",
                samples(2),
                TASK,
                options=ReplayOptions(cache_path=cache, patience=QUICK),
            )
            return first, second

    first, second = asyncio.run(go())
    assert [one.score.value for one in first] == [None, None]
    assert [one.score.value for one in second] == [1.0, 1.0]


def test_the_budget_caps_requests_and_says_so(serve, samples):
    results, server = run(serve, said, samples(6), concurrency=1, budget=Budget(requests=4))
    assert len(server.seen) == 4
    assert results[5].score.value is None
    assert results[5].score.reason.startswith("budget_spent")
    results, server = run(serve, said, samples(6), concurrency=1, budget=Budget(tokens=15))
    assert len(server.seen) == 2


def test_a_missing_key_is_named(serve, samples, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)

    def keyed(endpoint):
        return Endpoint(name="e", engine="remote", base_url=endpoint.base_url, api_key_env="NO_SUCH_KEY")

    with pytest.raises(UsageError, match="NO_SUCH_KEY is not set"):
        run(serve, said, samples(1), endpoint=keyed)
