"""A route's cache, through a real gateway: what is answered again, what never is, and how it is told."""

import contextlib
import http.client
import json
from datetime import UTC, datetime

import msgspec
import pytest
from tests.gateway.asking import QUESTION, TOOLS, client, metric, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of, trace_of, traces_of

from freehold.gateway.config import ApiKey
from freehold.gateway.limits.keys import hash_of, new_key
from freehold.store import open_store
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import CacheTerms, Limits, Route, Target

pytestmark = pytest.mark.process

ROUTE = Route(name="r", model="m", incumbent=Target(endpoint="incumbent"), cache=CacheTerms())
ASKED = {**QUESTION, "temperature": 0}


@pytest.fixture(scope="module")
def cached(_upstream, tmp_path_factory):
    with gateway(_upstream, tmp_path_factory.mktemp("cached"), routes=(ROUTE,)) as running:
        yield running


@pytest.fixture
def asked(request):
    """A request that no other test has asked."""
    return {**ASKED, "user": request.node.name}


def asked_twice(running, body, *, path="/v1/chat/completions", headers=None):
    first = post(running, body, path=path, headers=headers)
    second = post(running, body, path=path, headers=headers)
    assert first[0] == second[0] == 200 and first[1]["x-freehold-cache"] is None
    return first, second


def test_a_repeat_is_answered_without_asking(cached, upstream, asked):
    upstream.answer = lambda seen: plain(ANSWER, headers={"x-ratelimit-remaining": "7", "x-request-id": "r1"})
    (_, first, body), (_, second, again) = asked_twice(cached, asked)
    assert body == again and len(upstream.seen) == 1
    assert second["x-freehold-cache"] == "hit" and second["age"] == "0"
    assert first["x-ratelimit-remaining"] == "7" and second["x-ratelimit-remaining"] is None
    # The first one's id is another request's.
    assert second["x-request-id"] == second["x-freehold-request-id"] != first["x-freehold-request-id"]
    reordered = json.dumps(dict(reversed(asked.items())), indent=None).encode()
    assert post(cached, reordered)[1]["x-freehold-cache"] == "hit", "the order of fields says nothing"


def test_trace_and_metrics_say_who_answered(cached, upstream, asked):
    def counted():
        names = [f'cache_total{{outcome="{name}"' for name in ("hit", "kept", "miss")]
        names.append('requests_total{arm="incumbent",endpoint="cache"')
        return [metric(cached, f"freehold_{name}") for name in names]

    before = counted()
    _, (_, headers, _) = asked_twice(cached, asked)
    trace = trace_of(cached, headers["x-freehold-trace-id"])
    assert (trace.decision, trace.endpoint, trace.arm) == ("cache", "cache", "incumbent")
    assert trace.response == ANSWER and trace.completeness == "complete"
    eventually(lambda: counted() == [number + 1 for number in before])
    assert metric(cached, "freehold_cache_bytes") > len(json.dumps(ANSWER))


def test_what_has_not_one_answer_is_always_asked(cached, upstream, asked):
    for change in ({"temperature": 0.1}, {"n": 2}, {"tools": TOOLS}, {"store": True}):
        for _ in range(2):
            assert post(cached, {**asked, **change})[1]["x-freehold-cache"] is None
    assert len(upstream.seen) == 8


def test_a_seed_is_as_good_as_no_chance_and_another_seed_is_another_request(cached, upstream, asked):
    asked_twice(cached, {**asked, "temperature": 0.7, "seed": 5})
    assert len(upstream.seen) == 1
    post(cached, {**asked, "temperature": 0.7, "seed": 6})
    assert len(upstream.seen) == 2


def test_a_header_that_may_matter_tells_requests_apart(cached, upstream, asked):
    asked_twice(cached, asked)
    for headers in ({"x-prompt-version": "2"}, {"openai-project": "p"}, {"authorization": "Bearer other"}):
        assert post(cached, asked, headers=headers)[1]["x-freehold-cache"] is None
    for name in ("traceparent", "x-stainless-retry-count", "user-agent", "x-freehold-user"):
        assert post(cached, asked, headers={name: "1"})[1]["x-freehold-cache"] == "hit"


def test_the_query_tells_requests_apart_too(cached, upstream, asked):
    """It names the API's version, or holds the key that only the upstream can judge."""
    asked_twice(cached, asked, path="/v1/chat/completions?key=good")
    upstream.answer = lambda seen: plain({"error": {"message": "no such key"}}, status=401)
    for query in ("?key=wrong", "", "?key=good&api-version=2"):
        assert post(cached, asked, path=f"/v1/chat/completions{query}")[0] == 401
    assert upstream.seen[-1].place.endswith("?key=good&api-version=2")


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


def test_other_apis_get_their_own_words(cached, upstream):
    asked = {"model": "m", "max_tokens": 9, "temperature": 0, "messages": QUESTION["messages"]}
    first, second = asked_twice(cached, asked, path="/v1/messages")
    assert json.loads(second[2])["type"] == "message" and len(upstream.seen) == 1
    assert json.loads(first[2])["content"] == json.loads(second[2])["content"]
    _, (_, _, ollama) = asked_twice(
        cached,
        {"model": "m", "messages": QUESTION["messages"], "stream": False, "options": {"temperature": 0}},
        path="/api/chat",
    )
    assert json.loads(ollama)["message"]["content"] == "on its way" and len(upstream.seen) == 2
    asked = {"model": "m", "input": "where?", "temperature": 0}
    for _ in range(2):
        assert post(cached, asked, path="/v1/responses")[1]["x-freehold-cache"] is None, "the maker stores it"
    _, (_, headers, _) = asked_twice(cached, {**asked, "store": False}, path="/v1/responses")
    assert headers["x-freehold-cache"] == "hit"


def test_only_whole_and_good_answers_are_kept(cached, upstream, asked):
    filtered = {**ANSWER, "choices": [{**ANSWER["choices"][0], "finish_reason": "content_filter"}]}
    bad = (
        plain({"error": {"message": "slow down"}}, status=400),
        plain({"error": {"message": "broken"}}),
        plain(b"no json"),
        plain(filtered),
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


def test_a_client_may_ask_past_it(cached, upstream, asked):
    asked_twice(cached, asked)
    newer = {**ANSWER, "id": "newer"}
    upstream.answer = lambda seen: plain(newer)
    assert json.loads(post(cached, asked, headers={"cache-control": "no-store"})[2]) == newer
    assert json.loads(post(cached, asked)[2]) == ANSWER, "no-store is not kept either"
    assert json.loads(post(cached, asked, headers={"cache-control": "no-cache"})[2]) == newer
    assert json.loads(post(cached, asked)[2]) == newer, "no-cache replaces what was kept"
    other = {**asked, "seed": 1}
    for _ in range(2):
        assert post(cached, other, headers={"x-freehold-capture": "off"})[1]["x-freehold-cache"] is None


def test_a_route_without_a_cache_keeps_nothing(shared, upstream):
    asked_ = [post(shared, ASKED)[1]["x-freehold-cache"] for _ in range(2)]
    assert asked_ == [None, None] and len(upstream.seen) == 2


def test_a_change_of_the_route_empties_it_and_a_canary_is_never_answered_so(upstream, tmp_path):
    second = Endpoint(name="local", engine="echo", base_url=upstream.base_url, models=ANY_SERVED)
    first = Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=ANY_SERVED)
    url = f"sqlite:///{tmp_path / 'freehold.sqlite3'}"
    at = datetime.now(UTC)
    with open_store(url) as store:
        store.save_route(ROUTE, who="ada", at=at)
    with gateway(upstream, tmp_path, endpoints=(first, second)) as running, open_store(url) as store:
        eventually(lambda: post(running, ASKED)[1]["x-freehold-cache"] == "hit")
        promoted = msgspec.structs.replace(ROUTE, candidate=Target(endpoint="local"), state="promoted")
        store.save_route(promoted, who="ada", at=at)
        eventually(lambda: metric(running, "freehold_cache_bytes") == 0)
        eventually(lambda: post(running, ASKED)[1]["x-freehold-cache"] == "hit")
        (_, headers, _) = post(running, ASKED)
        assert trace_of(running, headers["x-freehold-trace-id"]).arm == "candidate"
        canary = msgspec.structs.replace(promoted, state="canary", canary_share=1.0)
        store.save_route(canary, who="ada", at=at)
        eventually(lambda: post(running, ASKED)[1]["x-freehold-cache"] is None)
        assert post(running, ASKED)[1]["x-freehold-cache"] is None


@pytest.mark.parametrize("shared", [False, True])
def test_keys_have_their_own_answers_unless_shared(upstream, tmp_path, shared):
    words = {name: new_key() for name in ("ada", "bob")}
    keys = tuple(ApiKey(name=name, hash=hash_of(word)) for name, word in words.items())
    route = msgspec.structs.replace(ROUTE, cache=CacheTerms(shared=shared))
    with gateway(upstream, tmp_path, routes=(route,), api_keys=keys) as running:

        def asked(name):
            headers = {"authorization": f"Bearer {words[name]}"}
            return post(running, ASKED, headers=headers)[1]["x-freehold-cache"]

        assert asked("ada") is None and asked("ada") == "hit"
        assert asked("bob") == ("hit" if shared else None)


def test_time_and_room_end_it(upstream, tmp_path):
    route = msgspec.structs.replace(ROUTE, cache=CacheTerms(seconds=3, mib=0.01))
    with gateway(upstream, tmp_path, routes=(route,)) as running:
        asked_twice(running, ASKED)
        eventually(lambda: metric(running, "freehold_cache_bytes") == 0)
        assert post(running, ASKED)[1]["x-freehold-cache"] is None
        long = {**ANSWER, "x": "y" * 11_000}
        upstream.answer = lambda seen: plain(long)
        for _ in range(2):
            assert post(running, {**ASKED, "seed": 1})[1]["x-freehold-cache"] is None, "longer than all room"


def test_a_kept_answer_takes_no_tokens_and_no_dollars(upstream, tmp_path):
    limits = Limits(tokens_per_minute=13)
    route = msgspec.structs.replace(ROUTE, limits=limits)
    with gateway(upstream, tmp_path, routes=(route,)) as running:
        statuses = [post(running, ASKED)[0] for _ in range(4)]
        assert statuses == [200] * 4 and len(upstream.seen) == 1
        traces = eventually(lambda: len(found := traces_of(running)) == 4 and found)
        assert [trace.decision for trace in traces].count("cache") == 3
