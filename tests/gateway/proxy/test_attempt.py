"""Which endpoint answers: retries, fallbacks, the circuit breaker, and what each endpoint is sent."""

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from tests.gateway.asking import QUESTION, TOOLS, metric, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of, trace_of

from freehold.gateway.limits.keys import hash_of
from freehold.processes import claim_port
from freehold.types.endpoint import ANY_SERVED, Endpoint, ServedModel
from freehold.types.route import ApiKey, Route, Target

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
        Endpoint(
            name="dead", engine="llamacpp", base_url=f"http://127.0.0.1:{claim_port()}", models=(tuned,)
        ),
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


SECRETS = {name: f"fh-{name}" for name in ("a", "b", "c")}
POISON = {**QUESTION, "messages": [{"role": "user", "content": "poison"}]}


def as_(name):
    return {"headers": {"authorization": f"Bearer {SECRETS[name]}"}}


@contextlib.contextmanager
def keyed(upstream, folder, *more, routes=()):
    """A gateway whose breaker opens after three failures in a row, for three clients with keys."""
    incumbent = Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=upstream.base_url)
    keys = tuple(ApiKey(name=name, hash=hash_of(secret), role="admin") for name, secret in SECRETS.items())
    options = {
        "retries": 0,
        "breaker_failures": 3,
        "breaker_pause_s": 1,
        "api_keys": keys,
        "keys_required": True,
    }
    with gateway(upstream, folder, endpoints=(incumbent, *more), routes=routes, **options) as running:
        yield running


def test_no_client_takes_the_last_target_from_the_others(upstream, tmp_path):
    """A prompt that the upstream fails on, sent by many connections of two keys without a rest."""
    upstream.answer = lambda seen: plain(ANSWER, status=500 if b"poison" in seen.body else 200)
    with keyed(upstream, tmp_path) as running, ThreadPoolExecutor(6) as attackers:
        attacks = [attackers.submit(post, running, POISON, **as_("ab"[n % 2])) for n in range(60)]
        assert [post(running, QUESTION, **as_("c"))[0] for _ in range(20)] == [200] * 20
        assert {one.result()[0] for one in attacks} == {500}


def test_one_client_does_not_take_a_candidate_from_the_others_and_several_that_fail_do(
    upstream, candidate, tmp_path
):
    own = Endpoint(
        name="own",
        engine="llamacpp",
        base_url=candidate.base_url,
        models=(ServedModel(name="r", upstream_name="r"),),
    )
    question, poison = {**QUESTION, "model": "r"}, {**POISON, "model": "r"}
    candidate.answer = lambda seen: plain(ANSWER, status=503 if b"poison" in seen.body else 200)
    with keyed(upstream, tmp_path, own, routes=(promoted("r", "own"),)) as running:
        assert {post(running, poison, **as_("a"))[0] for _ in range(9)} == {200}, "the incumbent answers"
        assert len(candidate.seen) == 9 and len(upstream.seen) == 9
        post(running, question, **as_("b"))
        assert len(candidate.seen) == 10, "it is not paused for what one client sends"
        # A check that fails tells an endpoint that fails everybody from one that one client's prompt fails.
        candidate.answer = lambda seen: plain({}, status=503)
        for name in "abab":
            assert post(running, question, **as_(name))[0] == 200
        asked = len(candidate.seen)
        assert asked == 13, "after three failures of two keys it is passed over"
        candidate.answer = lambda seen: plain(ANSWER)
        eventually(lambda: metric(running, "freehold_breaker_open", key=SECRETS["a"]) == 0)
        assert len(candidate.seen) == asked, "no client's request tried it"


def test_failures_of_one_client_alone_pause_an_endpoint_that_fails_its_health_check_too(
    upstream, candidate, tmp_path
):
    own = Endpoint(
        name="own",
        engine="llamacpp",
        base_url=candidate.base_url,
        models=(ServedModel(name="r", upstream_name="r"),),
    )
    with keyed(upstream, tmp_path, own, routes=(promoted("r", "own"),)) as running:
        candidate.answer = lambda seen: plain({}, status=503)

        def is_passed_over():
            before = len(candidate.seen)
            assert post(running, {**QUESTION, "model": "r"}, **as_("a"))[0] == 200
            return len(candidate.seen) == before

        eventually(is_passed_over)
        candidate.answer = lambda seen: plain(ANSWER)
        eventually(lambda: not is_passed_over())


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
