"""Exact repeats: what is answered again, what never is, how it is told, and the memory of kept answers."""

import contextlib
import http.client
import json
from datetime import UTC, datetime

import msgspec
import pytest
from tests.gateway.asking import QUESTION, TOOLS, call, client, metric, post, structured
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of, trace_of, traces_of
from tests.gateway.proxy.mixtures import mixed, own, rule_for, told

from freehold.gateway.caching import ANSWER_BYTES_MAX, KeptAnswer, KeptAnswers
from freehold.gateway.config import ApiKey
from freehold.gateway.http.memory import HeldBytes, MemoryBudget
from freehold.gateway.limits.keys import hash_of, new_key
from freehold.gateway.proxy.repeating import is_repeatable, key_of, tenant_of, told_by_headers
from freehold.processes import claim_port
from freehold.store import open_store
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import CacheTerms, Limits, Route, Target
from freehold.wire.openai import raw_fields

ROUTE = Route(name="r", model="m", incumbent=Target(endpoint="incumbent"), cache=CacheTerms())
ASKED = {**QUESTION, "temperature": 0}
process = pytest.mark.process


def fields_of(body):
    return {name: bytes(value) for name, value in raw_fields(body).items()}


def picture(kind):
    return [{"role": "user", "content": [{"type": kind, kind: {"url": "https://x/1.png"}}]}]


@pytest.mark.parametrize(
    ("kind", "changes", "yes"),
    [
        ("chat", {"messages": [{"role": "user", "content": 'the word "url" is harmless'}]}, True),
        ("chat", {"temperature": 1, "seed": 3}, True),
        ("chat", {"tools": [], "functions": None}, True),
        ("chat", {"temperature": None}, False),
        ("chat", {"temperature": False}, False),
        ("chat", {"temperature": "0"}, False),
        ("chat", {"temperature": 1, "seed": True}, False),
        ("chat", {"n": 2}, False),
        ("chat", {"store": True}, False),
        ("chat", {"tools": TOOLS}, False),
        ("chat", {"web_search_options": {}}, False),
        ("chat", {"messages": picture("image_url")}, False),
        ("responses", {}, False),
        ("responses", {"store": False}, True),
        ("responses", {"store": False, "previous_response_id": "r"}, False),
        ("responses", {"store": False, "prompt": {"id": "p"}}, False),
        ("completions", {"prompt": "Once upon"}, True),
        ("embeddings", {"temperature": None}, True),
        ("count_tokens", {}, False),
    ],
)
def test_which_requests_have_one_answer(kind, changes, yes):
    assert is_repeatable(kind, fields_of(json.dumps({**ASKED, **changes}).encode())) is yes


def test_equal_requests_have_one_key_and_others_never():
    one = b'{"model":"m","temperature":0,"messages":[]}'
    same = b'{ "messages": [], "temperature":0,"model":"m" }'
    assert key_of([b"a"], fields_of(one)) == key_of([b"a"], fields_of(same))
    changed = [one.replace(b"0", b"0.0"), one.replace(b'"m"', b'"n"'), one.replace(b"}", b',"stream":true}')]
    others = [key_of(parts, fields_of(one)) for parts in ([b"a"], [b"b"], [b"a", b""])]
    others += [key_of([b"a"], fields_of(body)) for body in changed]
    assert len(set(others)) == len(others)


def test_whose_answers_are_whose():
    own_key, other = (("authorization", f"Bearer {new_key()}") for _ in range(2))
    assert tenant_of("ada", [own_key], shared=False) == tenant_of("ada", [other], shared=False)
    assert tenant_of("ada", [own_key], shared=False) != tenant_of("bob", [own_key], shared=False)
    assert tenant_of("ada", [own_key], shared=True) == tenant_of("bob", [other], shared=True)
    theirs = [("authorization", "Bearer sk-1")], [("authorization", "Bearer sk-2")]
    assert tenant_of(None, theirs[0], shared=True) != tenant_of(None, theirs[1], shared=True)
    named = [own_key, ("x-tenant-id", "acme")]
    assert tenant_of("ada", [own_key], shared=True) != tenant_of("ada", named, shared=True)


def test_headers_count_unless_they_are_known_not_to():
    told_apart = [("x-request-id", "1"), ("x-stainless-os", "Linux"), ("x-freehold-session", "a")]
    plain_ = told_by_headers([("content-type", "application/json")])
    assert told_by_headers([*told_apart, ("content-type", "application/json")]) == plain_
    assert told_by_headers([("anthropic-beta", "x"), ("content-type", "application/json")]) != plain_
    assert told_by_headers(told_apart, {"x-freehold-session"}) != told_by_headers([], {"x-freehold-session"})


@pytest.fixture(scope="module")
def cached(_upstream, tmp_path_factory):
    with gateway(_upstream, tmp_path_factory.mktemp("cached"), routes=(ROUTE,)) as running:
        yield running


@pytest.fixture
def asked(request):
    """A request that no other test has asked."""
    return {**ASKED, "user": request.node.name}


def hit(running, body, **more):
    """Whether an answer was kept."""
    status, headers, _ = post(running, body, **more)
    assert status == 200
    return headers["x-freehold-cache"] == "hit"


def asked_twice(running, body, *, path="/v1/chat/completions"):
    first, second = post(running, body, path=path), post(running, body, path=path)
    assert first[0] == second[0] == 200
    assert (first[1]["x-freehold-cache"], second[1]["x-freehold-cache"]) == (None, "hit")
    return first, second


@process
def test_a_repeat_is_answered_without_asking_and_told_as_what_it_is(cached, upstream, asked):
    def counted():
        names = [f'cache_total{{outcome="{name}"' for name in ("hit", "kept", "miss")]
        names.append('requests_total{arm="incumbent",endpoint="cache"')
        return [metric(cached, f"freehold_{name}") for name in names]

    before = counted()
    upstream.answer = lambda seen: plain(ANSWER, headers={"x-ratelimit-remaining": "7", "x-request-id": "r1"})
    (_, first, body), (_, second, again) = asked_twice(cached, asked)
    assert body == again and len(upstream.seen) == 1 and second["age"] == "0"
    assert first["x-ratelimit-remaining"] == "7" and second["x-ratelimit-remaining"] is None
    # The first one's id is another request's.
    assert second["x-request-id"] == second["x-freehold-request-id"] != first["x-freehold-request-id"]
    trace = trace_of(cached, second["x-freehold-trace-id"])
    assert (trace.decision, trace.endpoint, trace.arm) == ("cache", "cache", "incumbent")
    assert trace.response == ANSWER and trace.completeness == "complete"
    eventually(lambda: counted() == [number + 1 for number in before])
    assert metric(cached, "freehold_cache_bytes") > len(json.dumps(ANSWER))
    assert hit(cached, dict(reversed(asked.items()))), "the order of fields says nothing"


@process
def test_what_has_not_one_answer_is_always_asked(cached, upstream, asked):
    for change in ({"temperature": 0.1}, {"n": 2}, {"tools": TOOLS}):
        assert [hit(cached, {**asked, **change}) for _ in range(2)] == [False, False]
    assert len(upstream.seen) == 6


@process
def test_header_and_query_tell_requests_apart(cached, upstream, asked):
    """A query names the API's version, or holds the key that only the upstream can judge."""
    asked_twice(cached, asked, path="/v1/chat/completions?key=good")
    assert not hit(cached, asked) and hit(cached, asked, headers={"user-agent": "1"})
    for headers in ({"x-prompt-version": "2"}, {"openai-project": "p"}, {"authorization": "Bearer other"}):
        assert not hit(cached, asked, headers=headers)
    upstream.answer = lambda seen: plain({"error": {"message": "no such key"}}, status=401)
    for query in ("?key=wrong", "?key=good&api-version=2"):
        assert post(cached, asked, path=f"/v1/chat/completions{query}")[0] == 401


@process
def test_a_stream_is_replayed_as_a_stream_without_the_usage_that_was_only_counted(cached, upstream, asked):
    upstream.answer = lambda seen: stream(
        stream_of("on", " its", " way", usage=seen.json["stream_options"]["include_usage"])
    )
    first, second = asked_twice(cached, {**asked, "stream": True})
    assert first[2] == second[2] and b"usage" not in second[2]
    assert second[1]["content-type"] == "text/event-stream" and len(upstream.seen) == 1
    parts = list(client(cached).chat.completions.create(**asked, stream=True))
    assert [part.choices[0].delta.content for part in parts] == ["", "on", " its", " way", None]
    trace = trace_of(cached, second[1]["x-freehold-trace-id"])
    assert trace.streamed and trace.response["choices"][0]["message"]["content"] == "on its way"
    assert post(cached, asked)[1]["x-freehold-cache"] is None, "one that is no stream is another request"


@process
def test_other_apis_get_their_own_words(cached, upstream):
    asked = {"model": "m", "max_tokens": 9, "temperature": 0, "messages": QUESTION["messages"]}
    first, second = asked_twice(cached, asked, path="/v1/messages")
    assert json.loads(second[2])["type"] == "message" and len(upstream.seen) == 1
    assert json.loads(first[2])["content"] == json.loads(second[2])["content"]
    asked = {"model": "m", "messages": QUESTION["messages"], "stream": False, "options": {"temperature": 0}}
    _, (_, _, ollama) = asked_twice(cached, asked, path="/api/chat")
    assert json.loads(ollama)["message"]["content"] == "on its way"
    asked_twice(
        cached, {"model": "m", "input": "where?", "temperature": 0, "store": False}, path="/v1/responses"
    )


@process
def test_only_whole_and_good_answers_are_kept(cached, upstream, asked):
    filtered = {**ANSWER, "choices": [{**ANSWER["choices"][0], "finish_reason": "content_filter"}]}
    calling = structured(None, tool_calls=call("find", "{}"))
    calling["choices"][0]["finish_reason"] = "tool_calls"
    bad = (
        plain({"error": {"message": "slow down"}}, status=400),
        plain({"error": {"message": "broken"}}),
        plain(b"no json"),
        plain(filtered),
        plain(calling),
        stream(stream_of("half")[:-2]),
        stream(stream_of("half")[:2], cut=True),
    )
    for answer in bad:
        upstream.answer = lambda seen, answer=answer: answer
        upstream.seen.clear()
        for _ in range(2):
            with contextlib.suppress(OSError, http.client.HTTPException):  # the one that breaks off
                post(cached, {**asked, "stream": True})
        assert len(upstream.seen) == 2


@process
def test_a_client_may_ask_past_it(cached, upstream, asked):
    asked_twice(cached, asked)
    newer = {**ANSWER, "id": "newer"}
    upstream.answer = lambda seen: plain(newer)
    assert json.loads(post(cached, asked, headers={"cache-control": "no-store"})[2]) == newer
    assert json.loads(post(cached, asked)[2]) == ANSWER, "no-store is not kept either"
    assert json.loads(post(cached, asked, headers={"cache-control": "no-cache"})[2]) == newer
    assert json.loads(post(cached, asked)[2]) == newer, "no-cache replaces what was kept"
    for _ in range(2):
        assert not hit(cached, {**asked, "seed": 1}, headers={"x-freehold-capture": "off"})


@process
def test_a_route_without_a_cache_keeps_nothing(shared, upstream):
    assert [hit(shared, ASKED) for _ in range(2)] == [False, False] and len(upstream.seen) == 2


@process
def test_a_change_of_the_route_empties_it_and_a_canary_is_never_answered_so(upstream, tmp_path):
    second = Endpoint(name="local", engine="echo", base_url=upstream.base_url, models=ANY_SERVED)
    first = Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=ANY_SERVED)
    url = f"sqlite:///{tmp_path / 'freehold.sqlite3'}"
    at = datetime.now(UTC)
    with open_store(url) as store:
        store.save_route(ROUTE, who="ada", at=at)
    with gateway(upstream, tmp_path, endpoints=(first, second)) as running, open_store(url) as store:
        eventually(lambda: hit(running, ASKED))
        promoted = msgspec.structs.replace(ROUTE, candidate=Target(endpoint="local"), state="promoted")
        store.save_route(promoted, who="ada", at=at)
        eventually(lambda: metric(running, "freehold_cache_bytes") == 0)
        eventually(lambda: hit(running, ASKED))
        (_, headers, _) = post(running, ASKED)
        assert trace_of(running, headers["x-freehold-trace-id"]).arm == "candidate"
        canary = msgspec.structs.replace(promoted, state="canary", canary_share=1.0)
        store.save_route(canary, who="ada", at=at)
        eventually(lambda: not hit(running, ASKED))
        assert not hit(running, ASKED)


@process
@pytest.mark.parametrize("shared", [False, True])
def test_keys_have_their_own_answers_unless_shared(upstream, tmp_path, shared):
    words = {name: new_key() for name in ("ada", "bob")}
    keys = tuple(ApiKey(name=name, hash=hash_of(word)) for name, word in words.items())
    route = msgspec.structs.replace(ROUTE, cache=CacheTerms(shared=shared))
    with gateway(upstream, tmp_path, routes=(route,), api_keys=keys) as running:
        shown = [{"authorization": f"Bearer {words[name]}"} for name in ("ada", "ada", "bob")]
        assert [hit(running, ASKED, headers=headers) for headers in shown] == [False, True, shared]


@process
def test_time_ends_it_and_a_hit_takes_no_tokens(upstream, tmp_path):
    limits = Limits(tokens_per_minute=13)
    route = msgspec.structs.replace(ROUTE, limits=limits, cache=CacheTerms(seconds=3))
    with gateway(upstream, tmp_path, routes=(route,)) as running:
        assert [post(running, ASKED)[0] for _ in range(4)] == [200] * 4 and len(upstream.seen) == 1
        traces = eventually(lambda: len(found := traces_of(running)) == 4 and found)
        assert [trace.decision for trace in traces].count("cache") == 3
        eventually(lambda: metric(running, "freehold_cache_bytes") == 0)
        assert not hit(running, ASKED)


@pytest.fixture(scope="module")
def routed(_upstream, candidate, tmp_path_factory):
    """Routes whose rule of deferral decides who answers."""
    one, dead = own("candidate", candidate.base_url), own("dead", f"http://127.0.0.1:{claim_port()}")
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


@process
def test_what_a_rule_of_deferral_decided_is_kept_as_whose_it_was(routed, candidate, upstream):
    candidate.answer = lambda seen: plain(told("refund", -0.5))
    (_, first), (headers, second) = ask(routed), ask(routed)
    assert headers["x-freehold-cache"] == "hit" and first == second and len(candidate.seen) == 1
    assert not second["choices"][0].get("logprobs"), "those only the rule asked for"
    trace = trace_of(routed, headers["x-freehold-trace-id"])
    assert (trace.decision, trace.arm, trace.deferral) == ("cache", "candidate", None)
    headers, answer = ask(routed, headers={"x-freehold-session": "legal"})
    assert headers["x-freehold-cache"] is None and answer == ANSWER, "such a request is never the candidate's"
    candidate.answer = lambda seen: plain(told("refund", -5.0))
    assert ask(routed, seed=1)[1] == ANSWER
    headers, answer = ask(routed, seed=1)
    assert headers["x-freehold-cache"] == "hit" and answer == ANSWER and len(candidate.seen) == 2


@process
def test_what_the_incumbent_answered_for_a_candidate_that_failed_is_not_kept(routed, upstream):
    for _ in range(2):
        headers, answer = ask(routed, "down")
        assert headers["x-freehold-cache"] is None and answer == ANSWER
    assert len(upstream.seen) == 2


ENDPOINT = Endpoint(name="incumbent", engine="remote", base_url="http://127.0.0.1:1")
MIB = 2**20


@pytest.fixture
def memory():
    return MemoryBudget(8 * MIB)


@pytest.fixture
def answers(memory):
    return KeptAnswers(memory)


def answer(size=1_000, *, until_s=60.0):
    return KeptAnswer(ENDPOINT, "incumbent", "application/json", None, False, (b"x" * size,), 0.0, until_s)


def kept(answers, key, size=1_000, *, version=b"v", until_s=60.0):
    return answers.keep(version, key, answer(size, until_s=until_s))


def found(answers, *keys, version=b"v", now_s=1.0):
    return [answers.find(version, key, now_s=now_s) is not None for key in keys]


def test_an_answer_is_found_until_its_time_is_over(answers, memory):
    assert kept(answers, b"a", until_s=10.0) and kept(answers, b"b", until_s=20.0)
    assert found(answers, b"a", b"b", b"c", now_s=10.0) == [False, True, False]
    answers.sweep(now_s=10.0)
    assert 0 < memory.used_bytes == answers.held_bytes == answer().size_bytes
    answers.sweep(now_s=20.0)
    assert memory.used_bytes == 0


def test_a_route_that_changes_loses_its_answers(answers, memory):
    kept(answers, b"a", version=b"old")
    kept(answers, b"a", version=b"new")
    answers.retain([b"new"])
    assert found(answers, b"a", version=b"old") == [False] and found(answers, b"a", version=b"new") == [True]
    assert memory.used_bytes == answer().size_bytes


def test_the_oldest_make_room(answers, memory):
    assert not kept(answers, b"d", ANSWER_BYTES_MAX + 1)
    for number in range(40):  # 200 kB each, and a quarter of the budget for all
        assert kept(answers, b"%d" % number, 200_000, version=b"%d" % (number % 2))
    assert memory.used_bytes == answers.held_bytes <= 2 * MIB
    assert found(answers, b"28", b"30", version=b"0") == [False, True]


def test_answers_give_way_to_requests(answers, memory):
    kept(answers, b"a", 200_000)
    requests = HeldBytes(memory)
    while requests.take(MIB - 1_000):
        pass
    assert answers.held_bytes == 0 and found(answers, b"a") == [False]
    assert not kept(answers, b"b", 200_000), "there is no room, and nothing to forget"
