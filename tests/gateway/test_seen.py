"""What an operator sees of a gateway's answers: who gave them, what they cost, where they are found."""

import itertools

import pytest
from tests.gateway.asking import QUESTION, get, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, trace_of

from freehold.gateway.proxy.relay import ARM_HEADER
from freehold.store import open_store
from freehold.store.search.finding import search
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import Route, Target
from freehold.types.trace_search import TraceQuery

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def candidate_upstream(_upstream):
    from tests.gateway.loopback import FakeUpstream

    fake = FakeUpstream()
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def seen(_upstream, candidate_upstream, tmp_path_factory):
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=_upstream.base_url, models=ANY_SERVED),
        Endpoint(name="own", engine="remote", base_url=candidate_upstream.base_url),
    )
    sides = {"incumbent": Target(endpoint="incumbent"), "candidate": Target(endpoint="own")}
    routes = (
        Route(name="half", model="half", state="canary", canary_share=0.5, sticky="user", **sides),
        Route(name="all", model="all", state="promoted", **sides),
    )
    folder = tmp_path_factory.mktemp("seen")
    with gateway(_upstream, folder, endpoints=endpoints, routes=routes, workers=2) as running:
        yield running


def asked(model, **more):
    return {**QUESTION, "model": model, **more}


MESSAGES = {"model": "all", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
ASKED = {
    "/v1/chat/completions": asked("all"),
    "/v1/messages": MESSAGES,
    "/v1/responses": {"model": "all", "input": "hi"},
    "/api/chat": asked("all", stream=False),
}


@pytest.mark.parametrize("path", ASKED)
def test_an_answer_says_whose_it_is_in_every_api(seen, upstream, candidate_upstream, path):
    candidate_upstream.reset()
    status, headers, _ = post(seen, ASKED[path], path=path)
    assert (status, headers[ARM_HEADER]) == (200, "candidate")
    status, headers, _ = post(seen, {**ASKED[path], "model": "m"}, path=path)
    assert (status, headers[ARM_HEADER]) == (200, "incumbent")
    _, headers, _ = post(seen, ASKED[path], path=path, headers={ARM_HEADER: "off"})
    assert ARM_HEADER not in headers


@pytest.mark.parametrize(
    "name",
    ["x-request-id", "apim-request-id"],
)
def test_a_trace_is_found_by_what_the_upstream_calls_it(seen, upstream, name):
    upstream.answer = lambda seen: plain(ANSWER, headers={name: f"req-{name}"})
    _, headers, _ = post(seen, asked("m", user="ada"))
    trace = trace_of(seen, headers["x-freehold-trace-id"])
    assert trace.upstream_id == f"req-{name}"

    def found():
        with open_store(seen.config.store_url) as store:
            query = TraceQuery(upstream_id=f"req-{name}", user="ada", text="way", status="200")
            return search(store.database, query).traces

    (one,) = eventually(found)
    assert (one.id, one.endpoint, one.user) == (trace.id, "incumbent", "ada")


def test_a_request_without_a_user_stays_on_its_conversations_arm(seen, upstream, candidate_upstream):
    candidate_upstream.reset()
    arms = []
    for number in range(12):
        said = [{"role": "user", "content": f"conversation {number}"}]
        turns = []
        for _ in range(4):
            turns.append(post(seen, asked("half", messages=said))[1][ARM_HEADER])
            said = [*said, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "and?"}]
        assert len(set(turns)) == 1
        arms.append(turns[0])
    assert set(arms) == {"incumbent", "candidate"}
    named = {post(seen, asked("half", user="ada"))[1][ARM_HEADER] for _ in range(4)}
    assert len(named) == 1
    text = get(seen, "/metrics").decode()
    # The other worker's numbers are a second late.
    eventually(
        lambda: 'freehold_requests_without_user_total{route="half"} 48.0' in get(seen, "/metrics").decode()
    )
    log = seen.log.read_text()
    assert 1 <= log.count("sticky by") <= 2 and text  # once a worker


def test_the_metrics_say_who_asked_for_what_and_what_it_cost(seen, upstream):
    upstream.answer = lambda seen: plain({**ANSWER, "model": "gpt-4o-mini"})
    for _ in itertools.repeat(None, 5):
        post(seen, asked("gpt-4o-mini"))

    def told():
        lines = get(seen, "/metrics").decode().splitlines()
        return all(
            line in lines
            for line in (
                'freehold_model_requests_total{arm="incumbent",key="",model="gpt-4o-mini",route="",status="200"} 5.0',
                'freehold_tokens_total{arm="incumbent",direction="prompt",key="",model="gpt-4o-mini",route=""} 45.0',
                'freehold_route_state{route="half",state="canary"} 1.0',
                'freehold_route_candidate_share{route="all"} 1.0',
            )
        )

    eventually(told)
    text = get(seen, "/metrics").decode()
    assert 'freehold_cost_usd_total{arm="incumbent",key="",model="gpt-4o-mini",route=""}' in text
    assert "freehold_config_info{version=" in text and "freehold_config_since_seconds 1" in text
