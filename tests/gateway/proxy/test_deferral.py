"""A mixture on the proxy's path: who answers, what the client sees of it, what is recorded."""

import json
import time

import pytest
from tests.gateway.asking import FORM, QUESTION, TOOLS, client, metric, post
from tests.gateway.loopback import ANSWER, gateway, plain, stream, stream_of, trace_of
from tests.gateway.proxy.mixtures import SECRET, mixed, own, rule_for, told, told_stream

from freehold.processes import claim_port
from freehold.types.endpoint import ANY_SERVED, Capabilities, Endpoint
from freehold.types.route import Target

pytestmark = pytest.mark.process

SURE, UNSURE = -0.5, -5.0


@pytest.fixture(scope="module")
def routed(_upstream, candidate, tmp_path_factory):
    one = own("candidate", candidate.base_url)
    dead = own("dead", f"http://127.0.0.1:{claim_port()}")
    away = Endpoint(name="away", engine="remote", base_url=f"http://127.0.0.1:{claim_port()}")
    able = own("able", candidate.base_url, capabilities=Capabilities(responses=True, json_schema=True))
    endpoints = (
        Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=_upstream.base_url),
        one,
        Endpoint(
            name="native",
            engine="remote",
            base_url=_upstream.base_url,
            capabilities=Capabilities(responses=True),
        ),
        dead,
        away,
        able,
    )
    routes = (
        mixed("mix", one, rule_for(one)),
        mixed("lenient", one, rule_for(one, threshold=0.0)),
        mixed("hasty", one, rule_for(one, wait_ms=2000)),
        mixed("able", able, rule_for(able)),
        mixed("guarded", one, rule_for(one)),
        mixed("kept", one, rule_for(one, always_incumbent=({"team": "legal"}, {"header:X-Tier": "gold"}))),
        mixed("stays", one, rule_for(one, never_defer_out=({"team": "health"},))),
        mixed("stays-down", dead, rule_for(dead, never_defer_out=({"team": "health"},))),
        mixed("native", one, rule_for(one), incumbent=Target(endpoint="native")),
        mixed("away", one, rule_for(one), incumbent=Target(endpoint="away")),
    )
    with gateway(
        _upstream,
        tmp_path_factory.mktemp("deferral"),
        endpoints=endpoints,
        routes=routes,
        breaker_failures=99,
        retries=0,
    ) as running:
        yield running


def ask(running, model="mix", **more):
    return post(running, {**QUESTION, "model": model, **more}, headers=more.pop("headers", None))


def decided(running, headers):
    trace = trace_of(running, headers["x-freehold-trace-id"])
    return (trace.deferral.by, trace.deferral.why), trace


def counted(running, route, by, why):
    return metric(running, f'freehold_deferrals_total{{by="{by}",route="{route}",why="{why}"}}')


def test_a_sure_answer_is_the_candidates_without_what_was_asked_for_only_to_decide(
    routed, upstream, candidate
):
    candidate.answer = lambda seen: plain(told("on its way", SURE))
    before = counted(routed, "mix", "candidate", "sure")
    status, headers, body = ask(routed)
    answer = json.loads(body)
    assert status == 200 and answer["choices"][0]["message"]["content"] == "on its way"
    assert candidate.seen[0].json["logprobs"] is True and answer["choices"][0]["logprobs"] is None
    assert not upstream.seen
    found, trace = decided(routed, headers)
    assert found == ("candidate", "sure") and trace.deferral.confidence == pytest.approx(0.95)
    assert (trace.endpoint, trace.arm, trace.fallback) == ("candidate", "candidate", None)
    assert trace.response["choices"][0]["logprobs"] is None and trace.deferral.decided_ms > 0
    assert counted(routed, "mix", "candidate", "sure") == before + 1


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_nothing_of_a_rejected_answer_reaches_the_client(routed, upstream, candidate, path, streamed):
    rejected = told(
        SECRET, UNSURE, usage={"prompt_tokens": 9, "completion_tokens": 4321, "total_tokens": 4330}
    )
    candidate.answer = lambda seen: (
        told_stream(SECRET, UNSURE) if seen.json.get("stream") else plain(rejected, headers={"x-secret": "1"})
    )
    upstream.answer = lambda seen: stream(stream_of("from", "above")) if streamed else plain(ANSWER)
    if path == "/v1/messages":
        body = {"model": "mix", "max_tokens": 50, "messages": QUESTION["messages"], "stream": streamed}
    elif path == "/v1/responses":
        body = {"model": "mix", "input": "Wo ist mein Paket?", "stream": streamed}
    else:
        body = {**QUESTION, "model": "mix", "stream": streamed}
    status, headers, answer = post(routed, body, path=path)
    sent = answer + str(headers.items()).encode()
    assert status == 200 and len(candidate.seen) == len(upstream.seen) == 1
    for leak in (b"rejected", b"candidate-", b"chatcmpl-candidate", b"4321", b"x-secret"):
        assert leak not in sent
    assert "logprobs" not in upstream.seen[0].json
    found, trace = decided(routed, headers)
    assert found == ("incumbent", "unsure") and trace.deferral.confidence == pytest.approx(0.5)
    assert (trace.endpoint, trace.arm, trace.fallback) == ("incumbent", "candidate", None)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_sure_answer_is_told_in_the_clients_own_api(routed, upstream, candidate, path, streamed):
    candidate.answer = lambda seen: (
        told_stream("on its way", SURE) if seen.json.get("stream") else plain(told("on its way", SURE))
    )
    body = {"model": "able", "stream": streamed}
    if path == "/v1/messages":
        body |= {"max_tokens": 50, "messages": QUESTION["messages"]}
    else:
        body |= {"input": "Wo ist mein Paket?"}
    _, headers, answer = post(routed, body, path=path)
    assert candidate.seen[0].path == "/v1/chat/completions", "the API whose answers tell how sure they are"
    assert b"way" in answer and b'"logprob"' not in answer and not upstream.seen
    if streamed:
        assert headers["content-type"].startswith("text/event-stream")
    assert decided(routed, headers)[0] == ("candidate", "sure")


def test_a_stream_is_held_back_until_it_is_sure_and_then_is_the_stream_that_was_asked_for(routed, candidate):
    candidate.answer = lambda seen: told_stream("one two three four", SURE, pause=0.05)
    events = list(client(routed).chat.completions.create(**{**QUESTION, "model": "mix"}, stream=True))
    words = "".join(event.choices[0].delta.content or "" for event in events if event.choices)
    assert words == "one two three four"
    assert all(choice.logprobs is None for event in events for choice in event.choices)
    assert not any(event.usage for event in events), "usage was asked for by the gateway"


def test_a_client_that_asks_for_logprobs_gets_them_as_they_are(routed, candidate):
    candidate.answer = lambda seen: plain(told("on its way", SURE))
    status, _, body = ask(routed, logprobs=True, top_logprobs=3)
    assert status == 200 and candidate.seen[0].json["top_logprobs"] == 3
    assert json.loads(body) == told("on its way", SURE)


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_does_not_tell_how_sure_it_is_is_no_answer(routed, upstream, candidate, streamed):
    candidate.answer = lambda seen: (
        told_stream(SECRET, None) if seen.json.get("stream") else plain(told(SECRET, None))
    )
    upstream.answer = lambda seen: stream(stream_of("on")) if streamed else plain(ANSWER)
    _, headers, body = ask(routed, stream=streamed)
    assert b"rejected" not in body and decided(routed, headers)[0] == ("incumbent", "no_signal")
    _, headers, _ = ask(routed, "lenient", stream=streamed)
    assert decided(routed, headers)[0] == ("incumbent", "no_signal"), "not even where every signal would do"


@pytest.mark.parametrize(
    ("fails", "why", "fallback"),
    [
        (lambda seen: plain({"error": "x"}, status=500), "candidate_failed", "500"),
        (lambda seen: plain(b"{half"), "candidate_failed", "incomplete"),
        (lambda seen: plain(told("late", SURE), delay=30), "candidate_slow", "timeout"),
    ],
)
def test_a_candidate_that_fails_is_answered_for(routed, upstream, candidate, fails, why, fallback):
    candidate.answer = fails
    started = time.monotonic()
    status, headers, body = ask(routed, "hasty")
    assert status == 200 and json.loads(body) == ANSWER and time.monotonic() - started < 20
    found, trace = decided(routed, headers)
    assert found == ("incumbent", why) and trace.fallback == fallback


def test_a_stream_that_is_cut_is_no_answer(routed, upstream, candidate):
    candidate.answer = lambda seen: stream(stream_of(SECRET)[:2], cut=True)
    upstream.answer = lambda seen: stream(stream_of("on"))
    status, headers, body = ask(routed, stream=True)
    assert status == 200 and b"rejected" not in body and b"[DONE]" in body
    assert decided(routed, headers)[0] == ("incumbent", "candidate_failed")


def test_an_answer_that_breaks_its_schema_is_not_sent_however_sure(routed, upstream, candidate):
    candidate.answer = lambda seen: plain(told("refund it", SURE))
    _, headers, body = ask(routed, "guarded", response_format=FORM)
    found, trace = decided(routed, headers)
    assert json.loads(body) == ANSWER and (found, trace.fallback) == (
        ("incumbent", "candidate_failed"),
        "schema",
    )
    assert len(candidate.seen) == 1, "the rule was proven for what it says of itself"
    candidate.answer = lambda seen: plain(told('{"intent":"refund"}', SURE))
    assert decided(routed, ask(routed, "guarded", response_format=FORM)[1])[0] == ("candidate", "sure")


# What no rule was proven for


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {**QUESTION, "n": 2}),
        ("/v1/embeddings", {"input": "x"}),
        ("/v1/responses", {"input": "x", "tools": [{"type": "web_search"}]}),
    ],
)
def test_the_incumbent_alone_is_asked_what_cannot_be_decided(routed, upstream, candidate, path, body):
    before = counted(routed, "native", "incumbent", "not_decidable")
    post(routed, {**body, "model": "native"}, path=path)
    assert not candidate.seen and len(upstream.seen) == 1
    assert counted(routed, "native", "incumbent", "not_decidable") == before + 1


def test_tools_of_the_client_are_called_once_by_the_answer_it_gets(routed, upstream, candidate):
    calls = [{"id": "1", "type": "function", "function": {"name": "pay", "arguments": "{}"}}]
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": calls}}
    candidate.answer = lambda seen: plain({**ANSWER, "choices": [{**choice, "finish_reason": "tool_calls"}]})
    _, _, body = ask(routed, tools=TOOLS)
    assert b"pay" not in body and json.loads(body) == ANSWER
    assert (len(candidate.seen), len(upstream.seen)) == (1, 1)


@pytest.mark.parametrize(
    ("more", "headers", "kept"),
    [
        ({"metadata": {"team": "legal"}}, {}, True),
        ({}, {"x-tier": "gold"}, True),
        ({"metadata": {"team": "sales"}}, {"x-tier": "silver"}, False),
    ],
)
def test_what_is_always_the_incumbents_is_not_asked_of_the_candidate(
    routed, upstream, candidate, more, headers, kept
):
    candidate.answer = lambda seen: plain(told("on its way", SURE))
    _, sent, _ = post(routed, {**QUESTION, "model": "kept", **more}, headers=headers)
    assert bool(candidate.seen) is not kept
    assert decided(routed, sent)[0][1] == ("always_incumbent" if kept else "sure")


@pytest.mark.parametrize(("team", "stays"), [("health", True), ("sales", False)])
def test_what_may_not_leave_the_house_is_the_candidates_sure_or_not(routed, upstream, candidate, team, stays):
    candidate.answer = lambda seen: plain(told("perhaps so", UNSURE))
    upstream.seen.clear()
    status, sent, body = post(routed, {**QUESTION, "model": "stays", "metadata": {"team": team}})
    assert status == 200 and (b"perhaps so" in body) is stays
    assert bool(upstream.seen) is not stays
    assert decided(routed, sent)[0] == (("candidate", "stays_here") if stays else ("incumbent", "unsure"))


def test_and_an_error_where_the_candidate_is_down(routed, upstream):
    upstream.seen.clear()
    status, _, _ = post(routed, {**QUESTION, "model": "stays-down", "metadata": {"team": "health"}})
    assert status >= 500 and not upstream.seen, "it was not sent out"
    assert post(routed, {**QUESTION, "model": "stays-down"})[0] == 200


# While the incumbent is down


def test_an_unsure_answer_is_not_the_incumbents(routed, candidate):
    candidate.answer = lambda seen: plain(told(SECRET, UNSURE))
    before = counted(routed, "away", "incumbent", "unsure")
    status, _, body = ask(routed, "away")
    assert status == 502 and b"rejected" not in body
    assert counted(routed, "away", "incumbent", "unsure") == before + 1
