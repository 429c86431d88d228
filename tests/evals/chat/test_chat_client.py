import asyncio
import json

import pytest
from aiohttp import web
from tests.evals.chat.conftest import run, said

from freehold.errors import UpstreamError, UsageError
from freehold.evals.asking import Budget
from freehold.evals.client import ChatClient, ChatText, Garbled, Patience, output_of
from freehold.types.endpoint import Endpoint, ServedModel


def test_server_errors_are_retried(serve, samples):
    def flaky(body, attempt):
        return web.Response(status=503, text="busy") if attempt < 3 else said(body, attempt)

    results, server = run(serve, flaky, samples(3))
    assert [one.score.value for one in results] == [1.0, 1.0, 1.0]
    assert len(server.seen) == 9


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


@pytest.mark.parametrize("status", [401, 404])
def test_a_wrong_key_or_model_stops_at_once(serve, samples, status):
    with pytest.raises(UpstreamError, match=f"answered {status}: nope") as raised:
        run(serve, lambda body, attempt: web.json_response({"error": "nope"}, status=status), samples(50))
    assert raised.value.hint


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


def test_a_missing_key_is_named(serve, samples, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)

    def keyed(endpoint):
        return Endpoint(name="e", engine="remote", base_url=endpoint.base_url, api_key_env="NO_SUCH_KEY")

    with pytest.raises(UsageError, match="NO_SUCH_KEY is not set"):
        run(serve, said, samples(1), endpoint=keyed)


@pytest.mark.parametrize(
    ("message", "status", "asked"),
    [
        ("logprobs is not supported with this model", 400, [20, None]),
        ("You are not allowed to request logprobs from this model", 403, [20, None]),
    ],
)
def test_a_model_that_gives_no_log_probabilities_is_asked_for_none(serve, message, status, asked):
    def picky(body, attempt):
        if "logprobs" in body:
            return web.json_response({"error": {"message": message}}, status=status)
        said = {"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
        return web.json_response({"choices": [said]})

    async def ask():
        async with serve(picky) as server:
            async with ChatClient(server.endpoint, concurrency=1, stream=False) as client:
                body = {"model": "m", "messages": [], "logprobs": True, "top_logprobs": 20}
                answers = [await client.ask(body) for _ in range(2)]
            return answers, [one.get("top_logprobs") for one in server.seen]

    answers, seen = asyncio.run(ask())
    assert seen == [*asked, asked[-1]]
    assert all(one.output == "yes" for one in answers)


def test_tool_calls_are_put_together_from_pieces(serve, samples):
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    results, _ = run(serve, lambda body, attempt: calls, samples(1))
    assert json.loads(results[0].output) == calls


def chunk(delta, **more):
    return b"data: " + json.dumps({"choices": [{"delta": delta, **more}]}).encode() + b"\n\n"


def test_a_stream_cut_at_any_byte_is_the_same_answer():
    stream = chunk({"content": "grü"}) + b": a comment\n\n" + chunk({"content": "ße"}, finish_reason="stop")
    stream += b'data: {"choices": [], "usage": {"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4}}}\n\n'
    stream += b"data: [DONE]\n\n"
    for size in (1, 2, 7, len(stream)):
        text = ChatText()
        for start in range(0, len(stream), size):
            text.feed(stream[start : start + size])
        answer = text.answer()
        assert (output_of(answer.body), answer.finish_reason, answer.ended) == ("grüße", "stop", True)
        assert (answer.usage.prompt_tokens, answer.usage.cached_prompt_tokens) == (7, 4)


def test_a_whole_body_is_read_like_a_stream():
    parts = [{"type": "thinking"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert output_of({"choices": [{"message": {"content": parts}}]}) == "ab"
    assert output_of({"choices": [{"message": {"content": None, "refusal": "no"}}]}) == "no"
    with pytest.raises(Garbled):
        output_of({"choices": [{"message": {"tool_calls": [1]}}]})


def test_garbage_in_a_stream_is_no_answer():
    with pytest.raises(Garbled):
        ChatText().feed(b"data: {nonsense\n\n")


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


def test_extra_body_of_the_served_model_is_sent(serve, samples):
    served = ServedModel(name="base:ad", upstream_name="base", extra_body={"lora": [{"id": 0, "scale": 1.0}]})

    def with_adapter(endpoint):
        return Endpoint(name="e", engine="llamacpp", base_url=endpoint.base_url, models=(served,))

    _, server = run(serve, said, samples(1), endpoint=with_adapter, model="base:ad")
    assert server.seen[0]["model"] == "base"
    assert server.seen[0]["lora"] == [{"id": 0, "scale": 1.0}]
    with pytest.raises(UsageError, match="does not serve other"):
        run(serve, said, samples(1), endpoint=with_adapter, model="other")


def test_refusing_everything_is_an_error_not_a_verdict(serve, samples):
    def refuse(body, attempt):
        return web.json_response({"error": {"message": "no"}}, status=400)

    with pytest.raises(UpstreamError, match="refuses every request: refused_request: 400 no"):
        run(serve, refuse, samples(3))


def test_the_budget_caps_requests_and_says_so(serve, samples):
    results, server = run(serve, said, samples(6), concurrency=1, budget=Budget(requests=4))
    assert len(server.seen) == 4
    assert results[5].score.value is None
    assert results[5].score.reason.startswith("budget_spent")
    results, server = run(serve, said, samples(6), concurrency=1, budget=Budget(tokens=15))
    assert len(server.seen) == 2
