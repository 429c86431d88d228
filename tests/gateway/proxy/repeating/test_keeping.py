"""What a route with a cache keeps where a rule of deferral decides who answers."""

import json

import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import ANSWER, gateway, plain, trace_of
from tests.gateway.proxy.mixtures import mixed, own, rule_for, told

from freehold.gateway.serve import free_port
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import CacheTerms

pytestmark = pytest.mark.process

ASKED = {**QUESTION, "temperature": 0}


@pytest.fixture(scope="module")
def routed(_upstream, candidate, tmp_path_factory):
    one, dead = own("candidate", candidate.base_url), own("dead", f"http://127.0.0.1:{free_port()}")
    incumbent = Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=_upstream.base_url)
    always = ({"header:x-freehold-session": "legal"},)
    routes = (
        mixed("mix", one, rule_for(one, always_incumbent=always), cache=CacheTerms()),
        mixed("down", dead, rule_for(dead), cache=CacheTerms()),
    )
    folder, endpoints = tmp_path_factory.mktemp("keeping"), (incumbent, one, dead)
    with gateway(_upstream, folder, endpoints=endpoints, routes=routes, retries=0) as running:
        yield running


def ask(running, model="mix", headers=None, **more):
    status, told_headers, body = post(running, {**ASKED, "model": model, **more}, headers=headers)
    assert status == 200
    return told_headers, json.loads(body)


def test_a_sure_answer_is_kept_as_the_candidates(routed, candidate, upstream):
    candidate.answer = lambda seen: plain(told("refund", -0.5))
    (_, first), (headers, second) = ask(routed), ask(routed)
    assert headers["x-freehold-cache"] == "hit" and first == second and len(candidate.seen) == 1
    assert not second["choices"][0].get("logprobs"), "those only the rule asked for"
    trace = trace_of(routed, headers["x-freehold-trace-id"])
    assert (trace.decision, trace.arm, trace.deferral) == ("cache", "candidate", None)
    headers, answer = ask(routed, headers={"x-freehold-session": "legal"})
    assert headers["x-freehold-cache"] is None and answer == ANSWER, "such a request is never the candidate's"


def test_an_unsure_one_is_kept_as_the_incumbents(routed, candidate, upstream):
    candidate.answer = lambda seen: plain(told("refund", -5.0))
    assert ask(routed, seed=1)[1] == ANSWER
    headers, answer = ask(routed, seed=1)
    assert headers["x-freehold-cache"] == "hit" and answer == ANSWER
    assert len(candidate.seen) == len(upstream.seen) == 1


def test_what_the_incumbent_answered_for_a_candidate_that_failed_is_not_kept(routed, upstream):
    for _ in range(2):
        headers, answer = ask(routed, "down")
        assert headers["x-freehold-cache"] is None and answer == ANSWER
    assert len(upstream.seen) == 2
