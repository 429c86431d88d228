"""Whose key goes where: every state of a route, every API, with answers, failures and redirects of every endpoint."""

import itertools

import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import ANSWER, FakeUpstream, eventually, gateway, plain

from freehold.gateway.limits.keys import new_key
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process

STATES = ("incumbent", "shadow", "canary", "promoted", "rolled_back")
CLIENT = {
    "authorization": "Bearer sk-client",
    "x-api-key": "sk-client",
    "api-key": "sk-client",
    "x-goog-api-key": "sk-client",
    "openai-organization": "org-client",
    "openai-project": "proj-client",
    "cookie": "session=sk-client",
    "x-goog-user-project": "proj-client",
    "x-auth-token": "sk-client",
}
TURN = [{"role": "user", "content": "Where is my parcel?"}]
APIS = {
    "/v1/chat/completions": {"messages": TURN},
    "/v1/completions": {"prompt": "Where"},
    "/v1/embeddings": {"input": "Where"},
    "/v1/responses": {"input": "Where"},
    "/v1/messages": {"messages": TURN, "max_tokens": 5},
}


@pytest.fixture(scope="module")
def strangers():
    """Hosts that no client means: a candidate, a fallback, and the owner of a list of models."""
    hosts = [FakeUpstream() for _ in range(3)]
    yield hosts
    for host in hosts:
        host.close()


@pytest.fixture(scope="module")
def running(_upstream, strangers, tmp_path_factory):
    candidate, spare, listed = strangers
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=_upstream.base_url, forward_client_key=True),
        Endpoint(name="candidate", engine="remote", base_url=candidate.base_url),
        Endpoint(name="spare", engine="remote", base_url=spare.base_url),
        Endpoint(
            name="listed",
            engine="remote",
            base_url=listed.base_url,
            models=(ServedModel(name="listed", upstream_name="listed"),),
        ),
    )
    routes = [
        Route(
            name=state,
            model=f"m-{state}",
            incumbent=Target(endpoint="incumbent"),
            candidate=Target(endpoint="candidate"),
            state=state,
            shadow_share=1.0,
            canary_share=0.5,
            sticky="header:x-case",
            fallback=(Target(endpoint="spare"),),
        )
        for state in STATES
    ]
    folder = tmp_path_factory.mktemp("keys")
    with gateway(
        _upstream,
        folder,
        endpoints=endpoints,
        routes=tuple(routes),
        others_to="incumbent",
        breaker_failures=10_000,
        shadow_concurrency=64,
    ) as one:
        yield one


def told(upstream):
    """What a host was told of the client, over all its requests."""
    return [
        (name, value)
        for seen in upstream.seen
        for name, value in seen.headers.items()
        if "client" in value or "fh-" in value
    ]


BEHAVIOUR = {
    "answers": lambda seen: plain(ANSWER),
    "fails": lambda seen: plain(b"{}", status=500),
    "redirects": lambda seen: plain(b"", status=307, headers={"location": "http://127.0.0.1:9/stolen"}),
}


@pytest.mark.parametrize("incumbent", BEHAVIOUR)
def test_no_other_host_is_told_who_the_client_is(running, upstream, strangers, incumbent):
    for host in strangers:
        host.reset()
    cases = 0
    for behaviour in BEHAVIOUR:
        upstream.answer = BEHAVIOUR[incumbent]
        for host in strangers:
            host.answer = BEHAVIOUR[
                behaviour if behaviour == "answers" or host is strangers[0] else "answers"
            ]
        for state, (path, body), case in itertools.product(STATES, APIS.items(), "ab"):
            post(running, {**body, "model": f"m-{state}"}, path=path, headers={**CLIENT, "x-case": case})
            cases += 1
    for path, body in APIS.items():
        post(running, {**body, "model": "listed"}, path=path, headers=CLIENT)
    assert cases == 150
    names = {name for name, _ in told(upstream)}
    assert names == set(CLIENT) - {"cookie"}, "the host that the client means is told all of it"
    candidate, spare, listed = strangers
    assert candidate.seen and listed.seen and (spare.seen or incumbent == "answers")
    assert [told(host) for host in strangers] == [[], [], []]


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "x-note"])
def test_a_key_of_the_gateway_goes_nowhere(running, upstream, strangers, header):
    value = new_key() if header != "authorization" else f"Bearer {new_key()}"
    for state in STATES:
        assert post(running, {**QUESTION, "model": f"m-{state}"}, headers={header: value})[0] == 200
    assert upstream.seen and [told(host) for host in (upstream, *strangers)] == [[]] * 4


def test_an_endpoint_that_a_rollout_added_answers_no_other_name(running, upstream, strangers):
    for host in strangers:
        host.reset()
    for name in ("gpt-4o-mini", "text-embedding-3-small", "m-shado"):
        assert post(running, {**QUESTION, "model": name}, headers=CLIENT)[0] == 200
    assert len(upstream.seen) == 3 and not any(host.seen for host in strangers)


OTHERS = (
    "/v1/files",
    "/v1/images/generations",
    "/v1/audio/speech",
    "/v1/batches/b_1/cancel",
    "/v1/responses/resp_1/cancel",
    "/v1/models/gpt-4o-mini",
    "/files/",
    "/v1/messages/batches",
    "/v1beta/models/g:generateContent",
    "/openai/deployments/d/images/generations",
    "/api/pull",
    "/nothing",
)


@pytest.mark.parametrize("incumbent", BEHAVIOUR)
def test_what_is_passed_on_goes_to_the_incumbent_and_nowhere_else(running, upstream, strangers, incumbent):
    for host in strangers:
        host.reset()
    upstream.answer = BEHAVIOUR[incumbent]
    for path in OTHERS:
        for body in (b"{}", bytes(600_000)):
            post(running, body, path=f"{path}?key=sk-client", headers=CLIENT)
    assert {name for name, _ in told(upstream)} == set(CLIENT) - {"cookie"}
    assert len(upstream.seen) == 2 * 7, "each once: what may have been done is not asked again"
    assert not any(host.seen for host in strangers)


def test_a_key_in_the_query_of_a_model_call_reaches_the_incumbent_only(running, upstream, strangers):
    queries = []
    for host in (upstream, *strangers):
        host.reset()
        host.answer = lambda seen: remembering(queries)
    for state in STATES:
        for case in "ab":
            body = {**QUESTION, "model": f"m-{state}"}
            path = "/v1/chat/completions?key=sk-client&beta=true"
            post(running, body, path=path, headers={**CLIENT, "x-case": case})
    eventually(lambda: len([port for port, _ in queries if port == strangers[0].port]) >= 4)
    assert {query for port, query in queries if port == upstream.port} == {"key=sk-client&beta=true"}
    assert not any("client" in query for port, query in queries if port != upstream.port)


def remembering(queries):
    async def respond(request):
        if request.method == "POST":  # a probe of the gateway's own has none
            queries.append((request.url.port, request.query_string))
        return await plain(ANSWER)(request)

    return respond
