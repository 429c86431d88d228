"""Which endpoint answers: retries, fallbacks, the circuit breaker, and what each endpoint is sent."""

import json
import time

import openai
import pytest
from tests.gateway.asking import QUESTION, TOOLS, metric, post
from tests.gateway.loopback import (
    ANSWER,
    eventually,
    gateway,
    plain,
    stream,
    stream_of,
    trace_of,
)

from freehold.gateway.serve import free_port
from freehold.types.endpoint import ANY_SERVED, Endpoint, ServedModel
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process


def promoted(name, endpoint, **more):
    values = {"model": name, "incumbent": Target(endpoint="incumbent"), "state": "promoted", **more}
    return Route(name=name, candidate=Target(endpoint=endpoint), **values)


@pytest.fixture(scope="module")
def routed(_upstream, candidate, tmp_path_factory):
    """Routes whose candidate fails in one way or another, and an incumbent without a route."""
    tuned = ServedModel(name="tuned", upstream_name="base", extra_body={"lora": [{"id": 0, "scale": 1.0}]})
    endpoints = (
        Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=_upstream.base_url),
        Endpoint(name="candidate", engine="llamacpp", base_url=candidate.base_url, models=(tuned,)),
        Endpoint(name="spare", engine="remote", base_url=f"{_upstream.base_url}/spare"),
        Endpoint(name="dead", engine="llamacpp", base_url=f"http://127.0.0.1:{free_port()}", models=(tuned,)),
    )
    routes = (
        promoted("chain", "candidate", fallback=(Target(endpoint="spare"),)),
        promoted("down", "dead"),
        promoted("hasty", "candidate", first_byte_ms=1500),
        Route(
            name="impatient",
            model="impatient",
            incumbent=Target(endpoint="incumbent"),
            fallback=(Target(endpoint="spare"),),
            first_byte_ms=1500,
        ),
        Route(name="alone", model="alone", incumbent=Target(endpoint="incumbent"), first_byte_ms=500),
    )
    with gateway(
        _upstream,
        tmp_path_factory.mktemp("attempt"),
        endpoints=endpoints,
        routes=routes,
        breaker_failures=99,
        read_timeout_s=3.0,
    ) as running:
        yield running


def ask(running, model="m", **more):
    return post(running, {**QUESTION, "model": model, **more})


def fallbacks(running, route, why):
    return metric(running, f'freehold_fallbacks_total{{route="{route}",why="{why}"}}')


# Retries, where no other endpoint can answer


def test_server_errors_are_tried_again_before_the_first_byte(routed, upstream):
    before = metric(routed, "freehold_retries_total")  # it looks at the endpoints, too
    answers = iter([plain({}, status=500), plain({}, status=503), plain(ANSWER)])
    upstream.answer = lambda seen: next(answers)
    assert ask(routed)[0] == 200 and len(upstream.seen) == 3
    assert len({seen.body for seen in upstream.seen}) == 1
    assert metric(routed, "freehold_retries_total") == before + 2


def test_the_last_error_goes_to_the_client_as_it_is(routed, upstream):
    error = {"error": {"message": "out of capacity", "code": "overloaded"}}
    upstream.answer = lambda seen: plain(error, status=503, headers={"x-request-id": "r9"})
    status, headers, body = ask(routed)
    assert (status, json.loads(body), headers["x-request-id"]) == (503, error, "r9")
    assert len(upstream.seen) == 3


def test_a_client_that_tries_again_by_itself_has_each_try_asked_once(routed, upstream):
    upstream.answer = lambda seen: plain({"error": {"message": "overloaded"}}, status=500)
    with (
        openai.OpenAI(base_url=f"{routed.base_url}/v1", api_key="x", max_retries=1) as client,
        pytest.raises(openai.InternalServerError),
    ):
        client.chat.completions.create(**QUESTION)
    assert len(upstream.seen) == 2


def test_an_incumbent_that_hangs_is_passed_over_in_the_routes_time(routed, upstream):
    upstream.answer = lambda seen: plain(ANSWER, delay=0 if seen.path.startswith("/spare") else 30)
    started = time.monotonic()
    status, headers, body = ask(routed, "impatient")
    assert status == 200 and json.loads(body) == ANSWER and time.monotonic() - started < 10
    assert trace_of(routed, headers["x-freehold-trace-id"]).endpoint == "spare"
    status, _, body = ask(routed, "alone")
    assert status == 504 and b"sent no byte within 500 ms" in body


def test_a_short_retry_after_is_tried_again_and_a_long_one_goes_to_the_client(routed, upstream):
    answers = iter([plain({}, status=429, headers={"retry-after": "1"}), plain(ANSWER)])
    upstream.answer = lambda seen: next(answers)
    assert ask(routed)[0] == 200 and len(upstream.seen) == 2
    for wait in ("30", "Wed, 21 Oct 2026 07:28:00 GMT"):
        upstream.reset()
        upstream.answer = lambda seen, wait=wait: plain(
            {"error": {}}, status=429, headers={"retry-after": wait}
        )
        status, headers, _ = ask(routed)
        assert (status, headers["retry-after"], len(upstream.seen)) == (429, wait, 1)


def test_a_connection_that_breaks_before_the_head_is_tried_again(routed, upstream):
    def broken(seen):
        async def respond(request):
            request.transport.abort()
            raise ConnectionResetError

        return respond

    answers = iter([broken, lambda seen: plain(ANSWER)])
    upstream.answer = lambda seen: next(answers)(seen)
    assert ask(routed)[0] == 200 and len(upstream.seen) == 2


def test_a_timeout_is_not_tried_again(routed, upstream):
    upstream.answer = lambda seen: plain(ANSWER, delay=20)
    status, _, body = ask(routed)
    assert (status, json.loads(body)["error"]["code"]) == (504, "upstream_timeout")
    assert len(upstream.seen) == 1


# Fallbacks, where another endpoint can


def test_each_target_is_tried_once_and_the_last_one_answers(routed, upstream, candidate):
    candidate.answer = lambda seen: plain({}, status=503)
    upstream.answer = lambda seen: plain(
        {**ANSWER, "model": "spare"} if seen.path.startswith("/spare") else {},
        status=200 if seen.path.startswith("/spare") else 500,
    )
    before = fallbacks(routed, "chain", "503"), fallbacks(routed, "chain", "500")
    status, headers, body = ask(routed, "chain")
    assert status == 200 and json.loads(body)["model"] == "spare"
    assert len(candidate.seen) == 1
    assert [seen.path for seen in upstream.seen] == ["/v1/chat/completions", "/spare/chat/completions"]
    trace = trace_of(routed, headers["x-freehold-trace-id"])
    assert (trace.endpoint, trace.fallback) == ("spare", "503"), "the first reason is recorded"
    after = fallbacks(routed, "chain", "503"), fallbacks(routed, "chain", "500")
    assert after == (before[0] + 1, before[1] + 1)


def test_a_candidate_that_is_down_falls_back_to_the_incumbent(routed, upstream):
    before = fallbacks(routed, "down", "failure")
    status, headers, _ = ask(routed, "down")
    assert status == 200 and upstream.seen[0].json["model"] == "down"
    trace = trace_of(routed, headers["x-freehold-trace-id"])
    assert (trace.arm, trace.endpoint, trace.fallback) == ("candidate", "incumbent", "failure")
    assert fallbacks(routed, "down", "failure") == before + 1


def test_a_candidate_without_a_first_byte_in_time_is_passed_over(routed, upstream, candidate):
    def stalled(seen):
        async def respond(request):
            return await stream([b": begun\n\n", *stream_of("late")], pause=0)(request)

        return respond

    candidate.answer = lambda seen: plain(ANSWER, delay=30)
    started = time.monotonic()
    status, headers, _ = ask(routed, "hasty")
    assert status == 200 and time.monotonic() - started < 20
    assert trace_of(routed, headers["x-freehold-trace-id"]).fallback == "timeout"
    candidate.answer = stalled
    status, headers, _ = ask(routed, "hasty", stream=True)
    assert trace_of(routed, headers["x-freehold-trace-id"]).endpoint == "candidate"


# The circuit breaker


def test_an_endpoint_that_keeps_failing_is_paused_and_tried_again(upstream, tmp_path):
    upstream.answer = lambda seen: plain({"error": "x"}, status=500)
    with gateway(upstream, tmp_path, retries=0, breaker_failures=2, breaker_pause_s=4) as running:
        assert [post(running, QUESTION)[0] for _ in range(3)] == [500, 500, 502]
        asked = len(upstream.seen)
        upstream.answer = lambda seen: plain(ANSWER)
        status, _, body = post(running, QUESTION)
        assert status == 502 and b"given a pause" in body
        assert len(upstream.seen) == asked, "no request goes out in the pause"
        eventually(lambda: post(running, QUESTION)[0] == 200)
        assert [post(running, QUESTION)[0] for _ in range(3)] == [200, 200, 200]
        assert metric(running, "freehold_upstream_failures_total") == 2


def test_a_limit_of_the_upstream_does_not_pause_it(upstream, tmp_path):
    upstream.answer = lambda seen: plain({"error": {}}, status=429, headers={"retry-after": "9"})
    with gateway(upstream, tmp_path, retries=0, breaker_failures=1, breaker_pause_s=60) as running:
        assert [post(running, QUESTION)[0] for _ in range(3)] == [429, 429, 429]


def test_a_request_that_always_fails_does_not_take_the_endpoint_from_others(upstream, tmp_path):
    upstream.answer = lambda seen: plain({"error": "x"}, status=500 if b"poison" in seen.body else 200)
    poison = {**QUESTION, "messages": [{"role": "user", "content": "poison"}]}
    with gateway(upstream, tmp_path, retries=2, breaker_failures=3, breaker_pause_s=60) as running:
        assert [post(running, poison)[0] for _ in range(2)] == [500, 500]
        assert len(upstream.seen) == 6, "each was tried again"
        assert post(running, QUESTION)[0] == 200


# What an endpoint is sent


def test_only_an_answer_that_need_not_be_read_may_be_compressed(routed, upstream, candidate):
    accept = {"accept-encoding": "gzip, br"}
    post(routed, QUESTION, headers=accept)
    post(routed, {**QUESTION, "model": "chain"}, headers=accept)
    post(routed, {**QUESTION, "max_tokens": 5}, path="/v1/messages", headers=accept)
    assert upstream.seen[0].headers["accept-encoding"] == "gzip"
    assert candidate.seen[0].headers["accept-encoding"] == "identity"
    assert upstream.seen[1].headers["accept-encoding"] == "identity"


def test_a_demand_for_a_tool_is_refused_where_the_template_has_none(routed, candidate):
    status, _, body = ask(routed, "tuned", tools=TOOLS, tool_choice="required")
    assert status == 400 and b"cannot be made to call a tool" in body and not candidate.seen
