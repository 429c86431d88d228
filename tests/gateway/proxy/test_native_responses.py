"""The Responses API where the upstream has it itself: the real client by the gateway against the same calls made
directly, and who is asked what behind a route."""

import json

import openai
import pytest
from tests.gateway.asking import metric, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of, traces_of
from tests.gateway.proxy.mixtures import own
from tests.gateway.responses_api import ResponsesApi

from freehold.gateway.limits.keys import hash_of
from freehold.types.endpoint import ANY_SERVED, Capabilities, Endpoint
from freehold.types.route import ApiKey, Limits, Route, Target

pytestmark = pytest.mark.process

ASKED = {"model": "m", "input": "where?"}
PATH = "/v1/responses"


def chat(seen):
    return stream(stream_of("by ", "chat", usage=True)) if seen.json.get("stream") else plain(ANSWER)


def incumbent(base_url, responses=True, **more):
    values = {
        "models": ANY_SERVED,
        "forward_client_key": True,
        "capabilities": Capabilities(responses=bool(responses), responses_unknown=responses is None),
    }
    return Endpoint(name="incumbent", engine="remote", base_url=base_url, **(values | more))


@pytest.fixture
def host(upstream):
    upstream.answer = ResponsesApi(chat)
    return upstream.answer


@pytest.fixture(scope="module")
def passing(_upstream, tmp_path_factory):
    folder = tmp_path_factory.mktemp("native")
    one = incumbent(_upstream.base_url)
    with gateway(_upstream, folder, endpoints=(one,), others_to="incumbent") as running:
        yield running


def stored(client):
    return client.responses.create(**ASKED, store=True).id


CASES = {
    "create": lambda c: c.responses.create(**ASKED),
    "create, streamed": lambda c: list(c.responses.create(**ASKED, stream=True)),
    "stored": lambda c: c.responses.retrieve(stored(c)),
    "previous_response_id": lambda c: c.responses.create(**ASKED, previous_response_id=stored(c)),
    "reasoning": lambda c: c.responses.create(
        **ASKED, reasoning={"effort": "low", "summary": "auto"}, include=["reasoning.encrypted_content"]
    ),
    "input_items": lambda c: c.responses.input_items.list(stored(c)).data,
    "delete": lambda c: c.responses.delete(stored(c)),
    "an unknown previous": lambda c: c.responses.create(**ASKED, previous_response_id="resp_nothing"),
}


def outcome(call, base_url):
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key="sk-client", max_retries=0) as client:
        try:
            answer = call(client)
        except openai.APIStatusError as error:
            return error.status_code, error.body
    if isinstance(answer, list):
        return [one.model_dump() for one in answer]
    return answer.model_dump() if hasattr(answer, "model_dump") else answer


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_client_gets_what_a_direct_call_gets(passing, upstream, name):
    outcomes = []
    for base_url in (upstream.base_url, passing.base_url):
        upstream.answer = ResponsesApi(chat)
        outcomes.append((outcome(CASES[name], base_url), [ask[:3] for ask in upstream.answer.asked]))
        assert {headers["authorization"] for _, _, _, headers in upstream.answer.asked} == {
            "Bearer sk-client"
        }
    direct, passed = outcomes
    assert passed == direct


def test_what_is_answered_natively_is_kept_counted_and_limited(upstream, host, tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_TEST_KEY", "sk-owner")
    one = incumbent(upstream.base_url, api_key_env="FREEHOLD_TEST_KEY")
    key = ApiKey(name="app", hash=hash_of("fh-one"), limits=Limits(tokens_per_minute=1000))
    with gateway(upstream, tmp_path, endpoints=(one,), api_keys=(key,), keys_required=True) as running:
        headers = {"authorization": "Bearer fh-one"}
        for streamed in (False, True):
            assert post(running, {**ASKED, "stream": streamed}, path=PATH, headers=headers)[0] == 200
        assert host.asked[-1][3]["authorization"] == "Bearer sk-owner"
        traces = eventually(lambda: len(found := traces_of(running)) == 2 and found)
        for trace in traces:
            assert trace.completeness == "complete" and trace.usage.completion_tokens == 2
            assert trace.response["choices"][0]["message"]["content"] == "from the host"
            assert trace.request["messages"] == [{"role": "user", "content": "where?"}]


@pytest.mark.parametrize(("answers", "native"), [(400, True), (404, False)])
def test_what_was_not_said_is_found_by_asking_once(upstream, host, tmp_path, answers, native):
    def by_probe(seen):
        if seen.path == PATH and seen.body == b"{}":
            return plain({"error": {"message": "x"}}, status=answers)
        return host(seen)

    upstream.answer = by_probe
    with gateway(upstream, tmp_path, endpoints=(incumbent(upstream.base_url, None),)) as running:
        for _ in range(3):
            status, _, body = post(
                running,
                ASKED,
                path=PATH,
                headers={"authorization": "Bearer sk-client", "idempotency-key": "i"},
            )
            assert status == 200 and (b"from the host" in body) == native
    asked = [(seen.path, seen.body == b"{}") for seen in upstream.seen]
    assert asked == [(PATH, True), *[(PATH if native else "/v1/chat/completions", False)] * 3]
    probe = upstream.seen[0].headers
    assert probe["authorization"] == "Bearer sk-client" and "idempotency-key" not in probe


def test_what_cannot_be_found_out_is_left_to_the_clients_host(upstream, host, tmp_path):
    def by_probe(seen):
        if seen.path == PATH and seen.body == b"{}":
            return plain({"error": {"message": "x"}}, status=401)
        return host(seen)

    upstream.answer = by_probe
    with gateway(upstream, tmp_path, endpoints=(incumbent(upstream.base_url, None),)) as running:
        for _ in range(2):
            assert b"from the host" in post(running, ASKED, path=PATH)[2]
    assert sum(seen.body == b"{}" for seen in upstream.seen) == 2


@pytest.fixture(scope="module")
def routed(_upstream, candidate, tmp_path_factory):
    """Promoted routes to a candidate of one's own, to one that has the Responses API, and with a fallback."""
    mine = own("mine", candidate.base_url)
    theirs = Endpoint(
        name="theirs", engine="remote", base_url=candidate.base_url, capabilities=Capabilities(responses=True)
    )
    routes = tuple(
        Route(
            name=name,
            model=name,
            incumbent=Target(endpoint="incumbent", model="m"),
            candidate=Target(endpoint=name, model="tuned"),
            state="promoted",
        )
        for name in ("mine", "theirs")
    )
    backed = Route(
        name="backed",
        model="backed",
        incumbent=Target(endpoint="incumbent", model="m"),
        fallback=(Target(endpoint="mine", model="tuned"),),
    )
    endpoints = (incumbent(_upstream.base_url), mine, theirs)
    with gateway(
        _upstream,
        tmp_path_factory.mktemp("routed"),
        endpoints=endpoints,
        routes=(*routes, backed),
        others_to="incumbent",
        retries=0,
        breaker_failures=99,
    ) as running:
        yield running


def ask(routed, model="mine", **more):
    status, headers, body = post(routed, {**ASKED, "model": model, **more}, path=PATH)
    return status, json.loads(body), headers


@pytest.fixture
def small(candidate):
    candidate.reset()
    candidate.answer = ResponsesApi(chat)
    return candidate


def test_a_plain_request_is_the_candidates_by_chat(routed, host, small):
    status, said, _ = ask(routed)
    assert status == 200 and said["output"][0]["content"][0]["text"] == "on its way" and not host.asked
    assert said["store"] is False and said["id"].startswith("resp_fh_")
    assert small.seen[-1].path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"store": True}, "needs_state"),
        ({"previous_response_id": "resp_1"}, "needs_state"),
        ({"tools": [{"type": "web_search"}]}, "hosted_tool"),
        ({"reasoning": {"summary": "auto"}}, "other_api"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "other_api"),
    ],
)
@pytest.mark.parametrize("model", ["mine", "theirs"])
def test_what_the_candidate_cannot_hold_is_the_incumbents_and_counted(routed, host, small, model, more, why):
    name = f'freehold_fallbacks_total{{route="{model}",why="{why}"}}'
    before = metric(routed, name)
    host.kept["resp_1"] = {}
    status, said, _ = ask(routed, model, **more)
    assert status == 200 and said["output"][0]["content"][0]["text"] == "from the host"
    assert not small.seen and metric(routed, name) == before + 1
    sent = json.loads(host.asked[-1][2])
    assert sent == {**ASKED, **more}


def test_a_candidate_that_has_the_api_is_asked_natively_where_nothing_is_kept(routed, host, small):
    assert ask(routed, "theirs", store=False)[1]["output"][0]["content"][0]["text"] == "from the host"
    assert small.seen[-1].path == PATH and not host.asked
    assert (
        ask(routed, "theirs")[1]["id"].startswith("resp_fh_")
        and small.seen[-1].path == "/v1/chat/completions"
    )


def test_an_id_of_an_answer_that_was_translated_reaches_no_incumbent(routed, host, small):
    first = ask(routed)[1]
    status, said, _ = ask(routed, previous_response_id=first["id"])
    assert status == 400 and said["error"]["code"] == "previous_response_not_found"
    assert said["error"]["param"] == "previous_response_id"
    with openai.OpenAI(base_url=f"{routed.base_url}/v1", api_key="sk-client", max_retries=0) as client:
        for call in (
            client.responses.retrieve,
            client.responses.delete,
            client.responses.cancel,
            client.responses.input_items.list,
        ):
            with pytest.raises(openai.NotFoundError, match="keeps no state"):
                call(first["id"])
        with pytest.raises(openai.BadRequestError, match="keeps no state"):
            client.responses.input_tokens.count(model="m", previous_response_id=first["id"])
    assert not host.asked


def test_a_conversation_goes_on_at_the_incumbent_without_the_candidates_ids(routed, host, small):
    first = ask(routed)[1]
    turns = [
        {"role": "user", "content": "where?"},
        *first["output"],
        {"role": "user", "content": "and when?"},
    ]
    status, _, _ = ask(routed, input=turns, store=True)
    sent = json.loads(host.asked[-1][2])["input"]
    assert status == 200 and sent[1]["content"] == first["output"][0]["content"] and "id" not in sent[1]
    # Another host's ids stay.
    turns[1] = {**turns[1], "id": "msg_1"}
    ask(routed, input=turns, store=True)
    assert json.loads(host.asked[-1][2])["input"] == turns


def test_a_failed_incumbent_is_told_and_not_that_another_cannot_hold_it(routed, upstream, small):
    upstream.answer = lambda seen: plain({"error": {}}, status=500)
    status, said, _ = ask(routed, "backed", store=True)
    assert status == 502 and "status 500" in said["error"]["message"] and "store" in said["error"]["message"]
    status, said, _ = ask(routed, "backed")
    assert status == 200 and said["output"][0]["content"][0]["text"] == "on its way"
