"""Prepared requests through a real gateway: what the engine gets, whatever API the client speaks; and what happens when
the examples cannot be had."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from tests.gateway.asking import FORM, QUESTION, metric, post, ready
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, trace_of, traces_of

from freehold.preparing.index import write_index
from freehold.types.endpoint import Endpoint, Example, ExampleIndex, Preparation, ServedModel
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process

SAMPLES = [
    Example(id="s1", question="Wo ist mein Koffer?", answer="luggage"),
    Example(id="s2", question="Das Paket ist zu spät", answer="late"),
    Example(id="s3", question="I want my money back", answer="refund"),
]
SYSTEM = "Name the intent."
ASKED = {
    "model": "m",
    "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Wo ist mein Paket?"}],
}
SENT = [
    {"role": "system", "content": "One of: luggage, late, refund."},
    {"role": "user", "content": "Das Paket ist zu spät"},
    {"role": "assistant", "content": "late"},
    {"role": "user", "content": "Wo ist mein Koffer?"},
    {"role": "assistant", "content": "luggage"},
    {"role": "user", "content": "Wo ist mein Paket?"},
]


def preparation(folder, **fields):
    written = write_index(SAMPLES, folder)
    index = ExampleIndex(path=written.path, sha256=written.sha256, samples=3, k=2)
    return Preparation.of(
        base_model="base",
        dataset_id="d",
        system_was=SYSTEM,
        system=SENT[0]["content"],
        examples=msgspec.structs.replace(index, **fields),
    )


def candidate_endpoint(upstream, made):
    served = ServedModel(name="base:app", upstream_name="base", extra_body={"lora": []}, preparation=made)
    return Endpoint(name="local", engine="llamacpp", base_url=upstream.base_url, models=(served,))


def route(**fields):
    incumbent = {
        "incumbent": Target(endpoint="incumbent"),
        "candidate": Target(endpoint="local", model="base:app"),
    }
    return Route(**{"name": "app", "model": "m", "state": "promoted", **incumbent} | fields)


def endpoints(upstream, candidate, made):
    incumbent = Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url)
    return incumbent, candidate_endpoint(candidate, made)


@pytest.fixture(scope="module")
def preparing(_upstream, candidate, tmp_path_factory):
    """A gateway whose route for ``m`` is promoted to a prepared model."""
    folder = tmp_path_factory.mktemp("preparing")
    both = endpoints(_upstream, candidate, preparation(folder / "examples"))
    mirrored = route(name="mirrored", model="mirrored", state="shadow", shadow_share=1.0)
    guarded = route(name="guarded", model="guarded")
    with gateway(_upstream, folder, endpoints=both, routes=(route(), mirrored, guarded)) as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(upstream, candidate):
    candidate.reset()


def sent(upstream):
    (seen,) = upstream.seen
    assert seen.path == "/v1/chat/completions"
    return seen.json


def test_the_application_sends_its_own_and_the_model_is_asked_with_examples(preparing, candidate):
    status, headers, _ = post(preparing, {**ASKED, "temperature": 0.5, "x_unknown": 1})
    assert status == 200
    got = sent(candidate)
    assert got["messages"] == SENT
    assert (got["model"], got["lora"], got["temperature"]) == ("base", [], 0.5)
    kept = trace_of(preparing, headers["x-freehold-trace-id"])
    assert kept.request["messages"] == ASKED["messages"], "a trace has what the application said"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v1/messages",
            {"model": "m", "max_tokens": 9, "system": SYSTEM, "messages": [ASKED["messages"][1]]},
        ),
        ("/v1/responses", {"model": "m", "input": "Wo ist mein Paket?", "instructions": SYSTEM}),
    ],
)
def test_clients_of_other_apis_are_prepared_for_alike(preparing, candidate, path, body):
    status, _, _ = post(preparing, body, path=path)
    assert status == 200
    assert [(m["role"], text_of(m)) for m in sent(candidate)["messages"]] == [
        (m["role"], m["content"]) for m in SENT
    ]


def text_of(message):
    content = message["content"]
    return content if isinstance(content, str) else "\n\n".join(part["text"] for part in content)


def test_a_mirrored_request_is_prepared_too(preparing, upstream, candidate):
    _, headers, _ = post(preparing, {**ASKED, "model": "mirrored"})
    eventually(lambda: traces_of(preparing, parent_id=headers["x-freehold-trace-id"]))
    assert sent(candidate)["messages"] == SENT
    assert sent(upstream)["messages"] == ASKED["messages"], "the incumbent is asked as ever"


def test_a_guard_reads_the_answer_to_a_prepared_request(preparing, upstream, candidate):
    candidate.answer = lambda seen: plain({**ANSWER, "model": "candidate"})
    status, _, _ = post(preparing, {**ASKED, "model": "guarded", "response_format": FORM})
    assert status == 200 and sent(candidate)["messages"] == SENT
    assert sent(upstream)["messages"] == ASKED["messages"], (
        "its answer breaks the form, the incumbent's counts"
    )


def test_what_it_was_not_made_for_goes_as_it_came_is_counted_and_told_once(preparing, candidate):
    before = metric(preparing, 'freehold_preparations_total{endpoint="local",outcome="other_system"}')
    for _ in range(2):
        candidate.reset()
        post(preparing, QUESTION)
        assert sent(candidate)["messages"] == QUESTION["messages"]
    eventually(
        lambda: (
            metric(preparing, 'freehold_preparations_total{endpoint="local",outcome="other_system"}') - before
            == 2
        )
    )
    assert Path(preparing.log).read_text().count("the system prompt is another one") == 1


def test_what_cannot_be_prepared_goes_to_the_incumbent(preparing, upstream, candidate):
    status, _, _ = post(preparing, {"model": "m", "prompt": "hi"}, path="/v1/completions")
    assert status == 200 and not candidate.seen
    assert upstream.seen[0].json["prompt"] == "hi"
    status, _, answer = post(preparing, {"model": "base:app", "prompt": "hi"}, path="/v1/completions")
    assert status == 400 and b"only chat requests can be prepared" in answer


def test_an_endpoint_that_comes_later_is_prepared_for(upstream, candidate, tmp_path):
    """As after a migration: the configuration changes while the gateway runs."""
    plain_ones = endpoints(upstream, candidate, None)
    with gateway(upstream, tmp_path, endpoints=plain_ones, routes=(route(),)) as running:
        post(running, ASKED)
        assert sent(candidate)["messages"] == ASKED["messages"]
        later = endpoints(upstream, candidate, preparation(tmp_path / "examples"))
        running.update(replace(running.config, endpoints=later))

        def is_prepared():
            candidate.reset()
            return post(running, ASKED)[0] == 200 and sent(candidate)["messages"] == SENT

        eventually(is_prepared)


def test_examples_that_are_removed_leave_a_running_gateway(upstream, candidate, tmp_path, monkeypatch):
    """As after a `freehold forget`: within seconds, and without a restart."""
    made = preparation(tmp_path / "examples")
    both = endpoints(upstream, candidate, made)
    with gateway(upstream, tmp_path, endpoints=both, routes=(route(),)) as running:
        assert post(running, ASKED)[0] == 200 and sent(candidate)["messages"] == SENT
        shutil.rmtree(made.examples.path)
        eventually(lambda: post(running, {**ASKED, "model": "base:app"})[0] == 503)
        candidate.reset()
        assert post(running, ASKED)[0] == 200 and not candidate.seen, "the incumbent answers"


def test_with_other_examples_than_it_was_proven_with_a_model_is_not_asked(upstream, candidate, tmp_path):
    made = preparation(tmp_path / "examples")
    made = replace(made, examples=replace(made.examples, sha256="0" * 64))
    both = endpoints(upstream, candidate, made)
    with gateway(upstream, tmp_path, endpoints=both, routes=(route(),)) as running:
        status, _, answer = post(running, {**ASKED, "model": "base:app"})
        assert status == 503
        assert json.loads(answer)["error"]["code"] == "examples_unavailable"
        assert b"the index of examples" in answer
        assert post(running, ASKED)[0] == 200, "on a route the incumbent answers"
        assert not candidate.seen and upstream.seen[0].json["messages"] == ASKED["messages"]
        told = ready(running)
        assert told["status"] == "ready", "the route has its incumbent"
        assert told["endpoints"] == {"incumbent": True, "local": False}
        assert "the index of examples" in told["why"]["local"]
        eventually(lambda: metric(running, 'freehold_fallbacks_total{route="app",why="not_prepared"}') == 1)
