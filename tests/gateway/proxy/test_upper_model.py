"""A larger model of one's own in the incumbent's place, on the proxy's path: three servers behind one route."""

import asyncio
import json

import pytest
from aiohttp import web
from tests.gateway.asking import QUESTION, metric, post
from tests.gateway.loopback import (
    ANSWER,
    FakeUpstream,
    eventually,
    gateway,
    plain,
    stream,
    stream_of,
    traces_of,
)
from tests.gateway.proxy.mixtures import BY_LOGPROB, SECRET, mixed, own, rule_for, told, told_stream
from tests.gateway.proxy.test_deferral import UNSURE, decided

from freehold.errors import ConfigError
from freehold.gateway.config import check_rule
from freehold.processes import claim_port
from freehold.types.deferral import DeferralRule, Tier
from freehold.types.endpoint import ANY_SERVED, Endpoint

pytestmark = pytest.mark.process

LARGE = {**ANSWER, "id": "chatcmpl-upper", "choices": told("from the large one", None)["choices"]}


@pytest.fixture(scope="module")
def large():
    fake = FakeUpstream()
    yield fake
    fake.close()


@pytest.fixture(autouse=True)
def _answers(large):
    large.reset()
    large.answer = lambda seen: plain(LARGE)


def three_tiers(one, base_url):
    """A quick model, the candidate at the same endpoint, and a larger one for the rest."""
    fields = {"signal": "mean_logprob", "calibration": BY_LOGPROB}
    tiers = (
        Tier(model="quick", identity=one.candidate_id("quick"), **fields),
        Tier(model="tuned", identity=one.candidate_id("tuned"), **fields),
        Tier(model="qwen", endpoint="big", base_url=base_url),
    )
    return DeferralRule.of(tiers=tiers, threshold=0.8, incumbent="m")


@pytest.fixture(scope="module")
def routed(_upstream, candidate, large, tmp_path_factory):
    one = own("candidate", candidate.base_url)
    incumbent = Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=_upstream.base_url)
    big = Endpoint(name="big", engine="remote", base_url=large.base_url)
    nowhere = f"http://127.0.0.1:{claim_port()}"
    gone = Endpoint(name="gone", engine="remote", base_url=nowhere)

    def rule(endpoint="big", base_url=large.base_url, **more):
        return rule_for(one, upper=Tier(endpoint=endpoint, model="qwen", base_url=base_url), **more)

    routes = (
        mixed("mix", one, rule()),
        mixed("safe", one, rule().on_safe_side()),
        mixed("kept", one, rule(always_incumbent=({"team": "legal"},))),
        mixed("upper-down", one, rule("gone", nowhere)),
        mixed("shadow", one, rule(), state="shadow", shadow_share=1.0),
        mixed("tiers", one, three_tiers(one, large.base_url)),
        mixed("shadow-tiers", one, three_tiers(one, large.base_url), state="shadow", shadow_share=1.0),
    )
    with gateway(
        _upstream,
        tmp_path_factory.mktemp("upper"),
        endpoints=(incumbent, one, big, gone),
        routes=routes,
        breaker_failures=99,
        retries=0,
        read_timeout_s=2.0,
    ) as running:
        yield running


def ask(running, model="mix", **more):
    return post(running, {**QUESTION, "model": model, **more})


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
def test_what_the_candidate_is_not_sure_of_is_the_upper_models(
    routed, upstream, candidate, large, path, streamed
):
    candidate.answer = lambda seen: (
        told_stream(SECRET, UNSURE) if seen.json.get("stream") else plain(told(SECRET, UNSURE))
    )
    large.answer = lambda seen: stream(stream_of("from ", "the ", "large one")) if streamed else plain(LARGE)
    more = (
        {"input": "where?"}
        if path == "/v1/responses"
        else {"messages": QUESTION["messages"], "max_tokens": 9}
    )
    status, headers, body = post(routed, {"model": "mix", "stream": streamed, **more}, path=path)
    assert status == 200 and b"large one" in body and SECRET.encode() not in body
    assert not upstream.seen, "the incumbent is not needed"
    assert large.seen[0].json["model"] == "qwen" and "logprobs" not in large.seen[0].json
    found, trace = decided(routed, headers)
    assert found == ("upper", "unsure") and (trace.endpoint, trace.arm) == ("big", "candidate")


@pytest.mark.parametrize("route", ["tiers", "shadow-tiers"])
@pytest.mark.parametrize(
    ("quick", "tuned", "asked", "by"),
    [
        (-0.5, None, ["quick"], ("candidate", "sure")),
        (UNSURE, -0.5, ["quick", "tuned"], ("candidate", "sure")),
        (None, -1.5, ["quick", "tuned"], ("candidate", "sure")),
        (UNSURE, UNSURE, ["quick", "tuned"], ("upper", "unsure")),
        (UNSURE, None, ["quick", "tuned"], ("upper", "no_signal")),
    ],
)
def test_tiers_are_asked_in_turn_until_one_is_sure(
    routed, upstream, candidate, large, route, quick, tuned, asked, by
):
    signals = {"quick": quick, "tuned": tuned}
    candidate.answer = lambda seen: plain(told(f"by {seen.json['model']}", signals[seen.json["model"]]))
    status, headers, body = ask(routed, route)
    assert status == 200
    if route == "tiers":
        shown = json.loads(body)["choices"][0]["message"]["content"]
        assert shown == ("from the large one" if by[0] == "upper" else f"by {asked[-1]}")
        assert decided(routed, headers)[0] == by and not upstream.seen
    else:
        eventually(lambda: len(candidate.seen) == len(asked) and len(large.seen) == (by[0] == "upper"))
        wanted = f'freehold_shadow_deferrals_total{{by="{by[0]}",route="{route}",why="{by[1]}"}}'
        eventually(lambda: metric(routed, wanted) >= 1)
    assert [one.json["model"] for one in candidate.seen] == asked


@pytest.mark.parametrize(
    ("fails", "why"),
    [
        (lambda seen: plain({"error": "x"}, status=500), "candidate_failed"),
        (lambda seen: plain(told("no numbers", None)), "no_signal"),
    ],
)
def test_the_upper_model_answers_for_a_candidate_that_cannot(routed, upstream, candidate, large, fails, why):
    candidate.answer = fails
    status, headers, body = ask(routed)
    assert status == 200 and json.loads(body) == LARGE and not upstream.seen
    assert decided(routed, headers)[0] == ("upper", why)


@pytest.mark.parametrize("fails", [429, 500])
def test_the_incumbent_answers_for_an_upper_model_that_cannot(routed, upstream, candidate, large, fails):
    candidate.answer = lambda seen: plain(told(SECRET, UNSURE))
    large.answer = lambda seen: plain({"error": "x"}, status=fails)
    status, headers, body = ask(routed)
    assert status == 200 and json.loads(body) == ANSWER
    found, trace = decided(routed, headers)
    assert found == ("incumbent", "unsure") and trace.endpoint == "incumbent"
    counted = metric(routed, 'freehold_deferrals_total{by="incumbent",route="mix",why="unsure"}')
    assert counted >= 1


@pytest.mark.parametrize("upper", [False, True])
def test_an_answer_that_breaks_off_in_its_middle_is_told_and_counted(
    routed, upstream, candidate, large, upper
):
    """Whoever answers what the candidate is not sure of: no second answer can follow what the client has."""
    candidate.answer = lambda seen: told_stream(SECRET, UNSURE)
    upstream.answer = large.answer = lambda seen: stream(stream_of("from ", "there")[:3], cut=True)
    route, by, endpoint = ("mix", "upper", "big") if upper else ("upper-down", "incumbent", "incumbent")
    counter = f'freehold_deferrals_total{{by="{by}",route="{route}",why="unsure"}}'
    before = metric(routed, counter)
    status, headers, body = ask(routed, route, stream=True)
    assert status == 200 and b"from " in body and b"broke off" in body and SECRET.encode() not in body
    found, trace = decided(routed, headers)
    assert (found, trace.endpoint, trace.completeness) == ((by, "unsure"), endpoint, "upstream_cut")
    eventually(lambda: metric(routed, counter) == before + 1)
    assert len(candidate.seen) == 1, "and is not asked again"


@pytest.mark.parametrize(
    ("model", "more", "why"),
    [
        ("safe", {}, "unsure"),
        ("kept", {"metadata": {"team": "legal"}}, "always_incumbent"),
        ("mix", {"n": 2}, "not_decidable"),
    ],
)
def test_what_was_no_part_of_the_proof_is_the_incumbents(
    routed, upstream, candidate, large, model, more, why
):
    _, headers, _ = ask(routed, model, **more)
    assert decided(routed, headers)[0] == ("incumbent", why)
    assert not large.seen and not candidate.seen and len(upstream.seen) == 1


def test_a_mirrored_request_is_asked_of_the_upper_model_too(routed, upstream, candidate, large):
    candidate.answer = lambda seen: plain(told(SECRET, UNSURE))
    _, headers, body = ask(routed, "shadow")
    assert json.loads(body) == ANSWER
    first = headers["x-freehold-trace-id"]
    mirrored = lambda: [one for one in traces_of(routed) if one.parent_id == first]  # noqa: E731
    eventually(lambda: mirrored())
    (one,) = mirrored()
    assert (one.deferral.by, one.deferral.why, one.endpoint) == ("upper", "unsure", "big")
    assert one.response["choices"][0]["message"]["content"] == "from the large one"


def test_an_upper_model_at_another_address_decides_nothing(upstream, candidate, large, tmp_path):
    one = own("candidate", candidate.base_url)
    moved = Endpoint(name="big", engine="remote", base_url=f"http://127.0.0.1:{claim_port()}")
    rule = rule_for(one, upper=Tier(endpoint="big", model="qwen", base_url=large.base_url))
    with pytest.raises(
        ConfigError, match=f"proven with qwen at {large.base_url}, and the endpoint big is at"
    ):
        check_rule(mixed("mix", one, rule), (one, moved))
    check_rule(
        mixed("mix", one, rule), (one, Endpoint(name="big", engine="remote", base_url=large.base_url + "/v1"))
    )


def half(*, stalls):
    """An answer that breaks off in its middle: its connection ends, or nothing more comes."""

    def answer(seen):
        async def respond(request):
            data = json.dumps(LARGE).encode()
            headers = {"content-type": "application/json", "content-length": str(len(data))}
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            await response.write(data[: len(data) // 2])
            if stalls:
                await asyncio.sleep(60)
            request.transport.abort()
            raise ConnectionResetError

        return respond

    return answer


@pytest.mark.parametrize("stalls", [False, True])
def test_an_upper_answer_that_breaks_off_in_its_middle_is_the_incumbents(
    routed, upstream, candidate, large, stalls
):
    candidate.answer = lambda seen: plain(told(SECRET, UNSURE))
    large.answer = half(stalls=stalls)
    status, headers, body = ask(routed)
    assert status == 200 and json.loads(body) == ANSWER and large.seen
    found, trace = decided(routed, headers)
    assert found == ("incumbent", "unsure") and trace.endpoint == "incumbent"
