"""Mirrored requests: after the answer, within bounds of their own, and without a second effect on the world."""

import json
import time

import msgspec
import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of, trace_of, traces_of
from tests.gateway.proxy.mixtures import mixed, own, rule_for, told

from freehold.types.endpoint import Endpoint
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process

TOOLS = [{"type": "function", "function": {"name": "refund", "parameters": {"type": "object"}}}]
CALL = {"id": "c1", "type": "function", "function": {"name": "refund", "arguments": '{"order":1}'}}
CALLING = {
    **ANSWER,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": None, "tool_calls": [CALL]},
            "finish_reason": "tool_calls",
        }
    ],
}


@pytest.fixture(scope="module")
def mirroring(_upstream, candidate, tmp_path_factory):
    """A route that mirrors everything, four requests at once."""
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=_upstream.base_url),
        Endpoint(name="candidate", engine="llamacpp", base_url=candidate.base_url),
    )
    route = Route(
        name="support",
        model="m",
        incumbent=Target(endpoint="incumbent"),
        candidate=Target(endpoint="candidate", model="base:ft"),
        state="shadow",
        shadow_share=1.0,
    )
    with gateway(
        _upstream,
        tmp_path_factory.mktemp("shadow"),
        endpoints=endpoints,
        routes=(route, msgspec.structs.replace(route, name="limited", model="few", shadow_share=0.0)),
        shadow_concurrency=4,
    ) as running:
        yield running


def test_what_a_rule_would_have_decided_is_recorded(upstream, candidate, tmp_path):
    candidate.reset()
    one = own("candidate", candidate.base_url)
    shadow = {"state": "shadow", "shadow_share": 1.0}
    route = mixed("mix", one, rule_for(one, always_incumbent=({"team": "legal"},)), **shadow)
    endpoints = (Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url), one)
    answers = {"sure": -0.5, "unsure": -5.0, "no_signal": None}

    def respond(seen):
        asked = seen.json["messages"][0]["content"]
        return (
            plain({}, status=500)
            if asked == "candidate_failed"
            else plain(told("on its way", answers.get(asked)))
        )

    with gateway(upstream, tmp_path, endpoints=endpoints, routes=(route,)) as running:
        candidate.answer = respond
        for why in (*answers, "candidate_failed", "always_incumbent", "not_decidable"):
            more = {"metadata": {"team": "legal"}} if why == "always_incumbent" else {}
            more |= {"n": 2} if why == "not_decidable" else {}
            body = {**QUESTION, "model": "mix", "messages": [{"role": "user", "content": why}], **more}
            _, headers, answer = post(running, body)
            assert json.loads(answer) == ANSWER and "x-freehold-deferral" not in headers
            parent = headers["x-freehold-trace-id"]
            (trace,) = eventually(lambda parent=parent: traces_of(running, parent_id=parent), timeout_s=20)
            by = "candidate" if why == "sure" else "incumbent"
            assert (trace.deferral.by, trace.deferral.why) == (by, why)
            if why == "sure":
                assert trace.deferral.confidence == pytest.approx(0.95)
                assert trace.response == told("on its way", None), "as a client would have had it"
        assert trace_of(running, parent).deferral is None, "the client's own answer was not decided on"


@pytest.fixture
def mirrored(mirroring, upstream, candidate):
    """Ask, and wait for the mirrored trace of that request."""
    candidate.reset()

    def ask(body, **more):
        status, headers, answer = post(mirroring, body, **more)
        parent = headers["x-freehold-trace-id"]
        found = eventually(lambda: traces_of(mirroring, parent_id=parent), timeout_s=20)
        return status, answer, found[0]

    return ask


def test_a_tool_call_of_the_candidate_is_written_down_and_never_run(mirrored, upstream, candidate):
    upstream.answer = candidate.answer = lambda seen: plain(CALLING)
    _, answer, trace = mirrored({**QUESTION, "tools": TOOLS})
    assert json.loads(answer)["choices"][0]["message"]["tool_calls"] == [CALL], (
        "the client runs its tools, once"
    )
    assert trace.response["choices"][0]["message"]["tool_calls"] == [CALL] and trace.arm == "candidate"
    time.sleep(0.3)
    assert len(upstream.seen) == 1 and len(candidate.seen) == 1, "nobody went on from the candidate's call"
    assert candidate.seen[0].json["tools"] == TOOLS
    assert not any(message["role"] == "tool" for message in candidate.seen[0].json["messages"])


def test_a_stream_is_mirrored_as_one_whole_request(mirrored, upstream, candidate):
    upstream.answer = lambda seen: stream(stream_of("on", " its", " way"))
    candidate.answer = lambda seen: plain({**ANSWER, "model": "candidate"})
    _, answer, trace = mirrored({**QUESTION, "stream": True})
    assert answer.count(b"data: ") == 6 and b"candidate" not in answer
    sent = candidate.seen[0].json
    assert sent["stream"] is False and sent["model"] == "base:ft" and not sent.get("stream_options")
    assert trace.response["model"] == "candidate" and not trace.streamed


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {"model": "m", "max_tokens": 9, "messages": QUESTION["messages"]}),
        ("/v1/responses", {"model": "m", "input": "Wo ist mein Paket?"}),
    ],
)
def test_other_apis_are_mirrored_in_the_candidates_words(mirrored, candidate, path, body):
    candidate.answer = lambda seen: plain({**ANSWER, "model": "candidate"})
    status, _, trace = mirrored(body, path=path)
    assert status == 200 and candidate.seen[0].path == "/v1/chat/completions"
    assert candidate.seen[0].json["model"] == "base:ft" and candidate.seen[0].json["messages"]
    assert trace.response["model"] == "candidate" and trace.request["messages"][-1]["role"] == "user"


def test_a_candidate_that_hangs_or_fails_costs_the_client_nothing(mirroring, mirrored, upstream, candidate):
    candidate.answer = lambda seen: plain({}, status=500)
    status, _, trace = mirrored(QUESTION)
    assert status == 200 and trace.status == 500
    candidate.answer = lambda seen: plain(ANSWER, delay=6)
    began = time.monotonic()
    assert {post(mirroring, QUESTION)[0] for _ in range(8)} == {200}
    assert time.monotonic() - began < 5
    eventually(lambda: len(candidate.seen) >= 2)
    # One failed, four hang, the others were not sent: mirroring has a bound of its own.
    time.sleep(0.3)
    assert len(candidate.seen) <= 5
