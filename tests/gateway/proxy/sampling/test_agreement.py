"""A candidate that is asked again behind a route: who answers, what the client sees, what was asked."""

import json

import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import ANSWER, FakeUpstream, eventually, gateway, plain, trace_of, traces_of
from tests.gateway.proxy.mixtures import LEVEL, SECRET, mixed, own, rule_for, told, told_stream

from freehold.types.endpoint import ANY_SERVED, Endpoint


@pytest.fixture(scope="module")
def model():
    fake = FakeUpstream()
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def routed(_upstream, model, tmp_path_factory):
    one = own("candidate", model.base_url)
    rule = rule_for(one, signal="agreement", calibration=LEVEL, threshold=0.75, samples=4)
    assert rule.problem is None
    assert "0 further samples" in rule_for(one, signal="agreement", calibration=LEVEL).problem
    incumbent = Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=_upstream.base_url)
    routes = (
        mixed("mix", one, rule),
        mixed("shadow", one, rule, state="shadow", shadow_share=1.0),
        mixed("hasty", one, rule_for(one, **{**FIELDS, "wait_ms": 300})),
    )
    with gateway(
        _upstream,
        tmp_path_factory.mktemp("agreement"),
        endpoints=(incumbent, one),
        routes=routes,
        breaker_failures=99,
        retries=0,
    ) as running:
        yield running


FIELDS = {"signal": "agreement", "calibration": LEVEL, "threshold": 0.75, "samples": 4}


def says(model, *further, first="on its way"):
    """The model says this first, and these when it is asked again."""
    model.reset()

    def respond(seen):
        number = seen.json.get("seed", 0)
        if number:
            said = further[number - 1]
            return said if callable(said) else plain(told(said, None))
        return told_stream(first, None) if seen.json.get("stream") else plain(told(first, None))

    model.answer = respond


def decided(running, headers):
    made = trace_of(running, headers["x-freehold-trace-id"]).deferral
    return made.by, made.why, made.confidence


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_is_given_again_is_the_candidates(routed, upstream, model, streamed):
    says(model, "on its way", "on  its way", "elsewhere", "on its way")
    _, headers, body = post(routed, {**QUESTION, "model": "mix", "stream": streamed})
    assert b"way" in body and not upstream.seen
    assert decided(routed, headers) == ("candidate", "sure", 0.75)
    again = [seen.json for seen in model.seen if "seed" in seen.json]
    assert sorted(one["seed"] for one in again) == [1, 2, 3, 4] and len(model.seen) == 5
    assert all(one["temperature"] == 0.7 and not one.get("stream") for one in again)
    assert all(one["model"] == "tuned" and "logprobs" not in one for one in again)


def test_one_that_is_not_is_the_incumbents_and_leaves_nothing(routed, upstream, model):
    says(model, "a", "b", SECRET, "c", first=SECRET)
    _, headers, body = post(routed, {**QUESTION, "model": "mix"})
    assert json.loads(body) == ANSWER and SECRET.encode() not in body
    assert decided(routed, headers) == ("incumbent", "unsure", 0.25)


def test_samples_that_are_slow_are_the_candidates_slowness(routed, upstream, model):
    says(model, *["on its way"] * 3, plain(told("on its way", None), delay=5))
    _, headers, body = post(routed, {**QUESTION, "model": "hasty"})
    assert json.loads(body) == ANSWER and decided(routed, headers)[:2] == ("incumbent", "candidate_slow")


def test_a_mirrored_request_is_decided_in_the_same_way(routed, upstream, model):
    says(model, *["on its way"] * 4)
    _, headers, _ = post(routed, {**QUESTION, "model": "shadow"})
    first = headers["x-freehold-trace-id"]
    mirrored = eventually(lambda: [one for one in traces_of(routed) if one.parent_id == first])
    assert (mirrored[0].deferral.by, mirrored[0].deferral.confidence) == ("candidate", 1.0)
