"""A router before; and what bounds a mixture: money, memory, the candidate it was proven for."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from tests.deferral_rules import LEVEL
from tests.gateway.asking import QUESTION, metric, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of, trace_of
from tests.gateway.proxy.mixtures import SECRET, mixed, own, rule_for, told
from tests.gateway.proxy.test_spend import booked

from freehold.deferring.learning import learn_router
from freehold.deferring.router import Router, write_router
from freehold.gateway.config import ApiKey
from freehold.gateway.limits.keys import hash_of
from freehold.store import open_store
from freehold.types.config import PriceConfig
from freehold.types.deferral import RouterFiles
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import Limits

pytestmark = pytest.mark.process

EASY, HARD = "wo ist mein paket", "der vertrag soll angefochten werden"


@pytest.fixture(autouse=True)
def _answers(candidate):
    candidate.answer = lambda seen: plain(told("from here", None))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    texts = [f"{text} {number}" for number in range(20) for text in (EASY, HARD)]
    written = write_router(
        learn_router(texts, [EASY in text for text in texts]).file, tmp_path_factory.mktemp("router")
    )
    router = Router.load(written)
    assert router.score_text(EASY) > 0.5 > router.score_text(HARD)
    return written


@pytest.fixture(scope="module")
def routed(_upstream, candidate, files, tmp_path_factory):
    one = own("candidate", candidate.base_url)
    incumbent = Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=_upstream.base_url)

    def routing(**fields):
        values = {"signal": "router", "calibration": LEVEL, "threshold": 0.5, "router": files}
        return rule_for(one, **{**values, **fields})

    other = RouterFiles(path=files.path, sha256="0" * 64)
    routes = (
        mixed("mix", one, routing()),
        mixed("hasty", one, routing(wait_ms=2000)),
        mixed("other-file", one, routing(router=other, threshold=0.0)),
    )
    folder = tmp_path_factory.mktemp("routed")
    with gateway(
        _upstream, folder, endpoints=(incumbent, one), routes=routes, retries=0, breaker_failures=99
    ) as running:
        yield running


def ask(running, text, model="mix", **more):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    return post(running, {"model": model, "messages": messages, **more})


def decided(running, headers):
    made = trace_of(running, headers["x-freehold-trace-id"]).deferral
    return made.by, made.why


@pytest.mark.parametrize("streamed", [False, True])
def test_one_alone_is_asked_and_nothing_is_added_to_the_question(routed, upstream, candidate, streamed):
    both = lambda seen: stream(stream_of("on")) if streamed else plain(ANSWER)  # noqa: E731
    candidate.answer = upstream.answer = both
    _, headers, _ = ask(routed, EASY, stream=streamed)
    assert decided(routed, headers) == ("candidate", "sure") and not upstream.seen
    assert "logprobs" not in candidate.seen[0].json
    _, headers, _ = ask(routed, HARD, stream=streamed)
    assert decided(routed, headers) == ("incumbent", "unsure")
    assert (len(candidate.seen), len(upstream.seen)) == (1, 1)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_it_reads_the_same_in_every_api(routed, upstream, candidate, path):
    for text, asked in ((EASY, candidate), (HARD, upstream)):
        messages = [{"role": "user", "content": text}]
        more = {"input": text} if path == "/v1/responses" else {"messages": messages, "max_tokens": 9}
        assert post(routed, {"model": "mix", "stream": False, **more}, path=path)[0] == 200
        assert len(asked.seen) == 1
    assert (len(candidate.seen), len(upstream.seen)) == (1, 1)


def test_a_request_without_words_is_the_incumbents(routed, candidate):
    _, headers, _ = post(routed, {"model": "mix", "messages": [{"role": "system", "content": EASY}]})
    assert decided(routed, headers) == ("incumbent", "no_signal") and not candidate.seen


def test_a_router_that_is_not_the_file_it_was_proven_with_decides_nothing(routed, upstream, candidate):
    _, headers, _ = ask(routed, EASY, "other-file")
    assert decided(routed, headers) == ("incumbent", "unreadable") and not candidate.seen


# Bounds


def mixture(upstream, tmp_path, one, **changes):
    rented = Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=upstream.base_url)
    values = {
        "endpoints": (rented, one),
        "routes": (mixed("mix", one, rule_for(one)),),
        "retries": 0,
        **changes,
    }
    return gateway(upstream, tmp_path, **values)


def test_a_rejected_answer_has_its_price(upstream, candidate, tmp_path):
    one = Endpoint(name="candidate", engine="remote", base_url=candidate.base_url)
    each = PriceConfig(prompt=Decimal(1000), completion=Decimal(2000))
    key = ApiKey(name="app", hash=hash_of("k"), limits=Limits(usd_per_day=Decimal(10)))
    changes = {
        "prices": {"incumbent": each, "candidate": each},
        "api_keys": (key,),
        "capture": "off",
        "routes": (mixed("mix", one, rule_for(one)),),
    }

    def ask():
        body = {**QUESTION, "model": "mix", "max_tokens": 3}
        assert post(running, body, headers={"authorization": "Bearer k"})[0] == 200

    with mixture(upstream, tmp_path, one, **changes) as running:
        candidate.answer = lambda seen: plain(told(SECRET, -5.0))
        ask()
        eventually(lambda: booked(tmp_path) == 2 * Decimal("0.015"))
        candidate.answer = lambda seen: plain(told("on its way", -0.1))
        ask()
        eventually(lambda: booked(tmp_path) == 3 * Decimal("0.015"))


def test_an_answer_that_finds_no_room_is_the_incumbents(upstream, candidate, tmp_path):
    one = own("candidate", candidate.base_url)
    candidate.answer = lambda seen: plain(told("x" * (9 << 20), -0.1))
    with mixture(upstream, tmp_path, one, body_memory_bytes=8 << 20) as running:
        status, headers, body = post(running, {**QUESTION, "model": "mix"})
        assert status == 200 and json.loads(body) == ANSWER
        assert decided(running, headers) == ("incumbent", "candidate_failed")
        assert metric(running, "freehold_held_bytes") == 0


@pytest.mark.parametrize("why", ["other_version", "unreadable"])
def test_a_rule_for_another_candidate_or_of_an_older_form_in_a_live_route_decides_nothing(
    upstream, candidate, tmp_path, why
):
    one = own("candidate", candidate.base_url)
    foreign = rule_for(own("candidate", "http://127.0.0.1:9"), threshold=0.0)
    if why == "unreadable":
        foreign = msgspec.structs.replace(foreign, tiers=())
    with mixture(upstream, tmp_path, one, routes=()) as running:
        with open_store(running.config.store_url) as store:
            store.save_route(mixed("mix", one, foreign), who="test", at=datetime.now(UTC))
        decided_so = lambda: metric(running, 'freehold_deferrals_total{by="incumbent"') > 0  # noqa: E731
        body = {**QUESTION, "model": "mix"}
        eventually(lambda: post(running, body)[0] == 200 and decided_so())
        assert not candidate.seen
        _, headers, _ = post(running, body)
        assert decided(running, headers) == ("incumbent", why)
        logged = running.log.read_text()
        if why == "unreadable":
            assert "older version" in logged
        else:
            assert foreign.candidate.identity in logged and one.candidate_id("tuned") in logged
