"""A captured request is asked again once, within what was agreed to and the day's budget, and the record says so."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from tests.workflows.shift.shifting import ROUTE, START, trace

from freehold.errors import UpstreamError, UsageError
from freehold.evals.answers import ChatAnswer
from freehold.store import audit, open_store
from freehold.types.endpoint import ServePlan
from freehold.types.route import Target
from freehold.types.trace import Usage
from freehold.workflows.project import open_project
from freehold.workflows.shift import replay_body, trace_replay
from freehold.workflows.shift.trace_replay import plan_replay, replay_trace, spent_usd

CONFIG = """
[app]
name = "support"
[incumbent]
model = "{model}"
base_url = "{url}"
{price}
[serve]
port = {port}
"""
PRICE = "price = { prompt = 10, completion = 100 }"
ASKED = {"messages": [{"role": "user", "content": "where is it?"}], "max_tokens": 20, "temperature": 0}


@pytest.fixture
def make(tmp_path, monkeypatch, incumbent):
    monkeypatch.chdir(tmp_path)

    def made(price=PRICE, url=None, model="gpt-4o"):
        text = CONFIG.format(
            model=model, url=url or incumbent.url, price=price, port=incumbent.server.server_port
        )
        (tmp_path / "freehold.toml").write_text(text)
        return open_project()

    return made


@pytest.fixture
def project(make):
    return make()


@pytest.fixture
def store(project):
    with open_store(project.store_url) as store:
        store.save_route(ROUTE, who="ada", at=START)
        store.add_traces([captured("one", ASKED)])
        yield store


def captured(id, request, **more):
    return trace(1, id=id, request=request, usage=Usage(prompt_tokens=40, completion_tokens=4), **more)


def put(store, request, **more):
    store.add_traces([captured("other", request, **more)])


def replayed(project, store, side="incumbent", *, agreed=Decimal(1), id="one", at=START, **more):
    return replay_trace(project, store, id, side, agreed_usd=agreed, who="ada", at=at, **more)


def noted(store):
    return [one for one in audit.entries(store.database) if one.action.startswith("trace.replay")]


def test_the_incumbent_gets_the_same_request_and_the_record_says_what_it_cost(project, store, incumbent):
    made = replayed(project, store)
    (sent,) = incumbent.seen
    assert {name: sent[name] for name in ASKED} == ASKED and sent["model"] == "gpt-4o"
    assert (made.output, made.error, made.usd) == ("refund", None, Decimal("0.002"))
    begun, ended = noted(store)
    assert (begun.action, begun.subject, begun.who) == ("trace.replay.begin", "one", "ada")
    assert ended.detail["begun"] == begun.number and ended.detail["usd"] == "0.002"
    assert "where is it" not in str(noted(store)) and "refund" not in str(noted(store))
    assert store.count_traces(complete_only=False) == 1, "the answer is kept nowhere"


def test_the_candidate_is_asked_by_its_own_name_at_the_gateway_and_charges_nothing(project, store, incumbent):
    made = replayed(project, store, "candidate", agreed=None)
    assert incumbent.seen[0]["model"] == "base:ft" and made.output == "refund"
    assert made.plan.most_usd is None and made.usd is None and spent_usd(store, at=START) == 0


def test_a_dry_run_sends_nothing_and_says_what_it_costs(project, store, incumbent):
    plan = plan_replay(project, store, "one", "incumbent", at=START)
    # 40 tokens in and 4 out were counted; at most a token a byte, and the limit of 20.
    assert (
        plan.about_usd == Decimal("0.0008") and plan.most_usd > Decimal("0.002") and plan.answer_tokens == 20
    )
    assert incumbent.seen == [] and noted(store) == []


@pytest.mark.parametrize(
    "agreed", [None, Decimal("0.0001"), Decimal("NaN"), Decimal("Infinity"), Decimal(-1)]
)
def test_nothing_is_sent_beyond_what_was_agreed_to(project, store, incumbent, agreed):
    with pytest.raises(UsageError, match="not agreed to"):
        replayed(project, store, agreed=agreed)
    assert incumbent.seen == [] and noted(store) == []


def test_a_days_budget_holds_over_all_of_them_and_a_killed_one_counts_at_its_most(
    project, store, incumbent, monkeypatch
):
    most = plan_replay(project, store, "one", "incumbent", at=START).most_usd

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trace_replay.anyio, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            replayed(project, store)
    assert spent_usd(store, at=START) == most
    replayed(project, store, at=START + timedelta(hours=1))
    spent = most + Decimal("0.002")
    assert spent_usd(store, at=START + timedelta(hours=2)) == spent
    with pytest.raises(UsageError, match="replays of the last 24 hours cost"):
        replayed(project, store, budget_usd=spent + most / 2, at=START + timedelta(hours=2))
    assert spent_usd(store, at=START + timedelta(hours=24, minutes=30)) == Decimal("0.002")
    assert spent_usd(store, at=START - timedelta(days=9)) == spent, "a clock that was set back makes no room"
    assert len(incumbent.seen) == 1


def test_money_of_many_replays_is_added_over_pages_of_the_record(project, store, monkeypatch):
    monkeypatch.setattr(trace_replay, "_PAGE", 3)
    for hour in range(4):
        replayed(project, store, at=START + timedelta(hours=hour))
        audit.note(store.database, "key.add", "k", who="ada", at=START)
    assert spent_usd(store, at=START + timedelta(hours=4)) == Decimal("0.008")


def test_without_a_price_the_incumbent_is_not_asked(make, store, incumbent):
    project = make(price="", model="of-no-maker")
    with pytest.raises(UsageError, match="no price of of-no-maker is known"):
        replayed(project, store)
    assert incumbent.seen == []


def test_one_whose_price_is_said_to_be_nothing_needs_no_agreement(make, store, incumbent):
    project = make(price="price = { prompt = 0, completion = 0 }")
    assert replayed(project, store, agreed=None).usd is None and len(incumbent.seen) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tools": [{"type": "web_search"}]}, "the API itself would run web_search"),
        (
            {"tools": [{"type": "function", "function": {"name": "a"}}, {"type": "code_interpreter"}]},
            "code_interpreter",
        ),
        ({"tools": ["x"]}, "the API itself would run None"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"modalities": ["text", "audio"]}, "sound"),
        ({"max_tokens": 0}, "its limit of tokens is 0"),
        ({"max_tokens": True}, "its limit of tokens is True"),
        ({"messages": []}, "only chat requests"),
        ({"messages": "hello"}, "only chat requests"),
    ],
)
def test_what_would_act_or_has_no_bound_is_refused(project, store, incumbent, more, said):
    put(store, ASKED | more)
    with pytest.raises(UsageError, match=said):
        replayed(project, store, id="other")
    assert incumbent.seen == [] and noted(store) == []


def test_calls_of_functions_are_shown_and_what_keeps_or_multiplies_is_left_out(project, store, incumbent):
    tool = {"type": "function", "function": {"name": "refund"}}
    put(store, ASKED | {"tools": [tool], "n": 9, "store": True, "stream": True, "service_tier": "priority"})
    plan = replayed(project, store, id="other").plan
    (sent,) = incumbent.seen
    assert sent["tools"] == [tool] and not {"n", "store", "service_tier"} & sent.keys()
    assert (
        plan.notes[0].endswith("n, service_tier, store.") and "Calls in the answer are shown" in plan.notes[1]
    )


def test_a_request_without_a_limit_gets_one(project, store, incumbent):
    put(store, {"messages": ASKED["messages"], "max_tokens": None})
    made = replayed(project, store, id="other")
    assert incumbent.seen[0]["max_tokens"] == made.plan.answer_tokens == replay_body.ANSWER_TOKENS
    assert any("no limit of its own" in note for note in made.plan.notes)


def test_a_picture_is_bounded_by_what_was_counted(project, store):
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]}
    counted = Usage(prompt_tokens=50_000, completion_tokens=4)
    store.add_traces([trace(2, id="seen", request=ASKED | {"messages": [picture]}, usage=counted)])
    plan = plan_replay(project, store, "seen", "incumbent", budget_usd=Decimal(9), at=START)
    assert plan.most_usd == Decimal("1.002"), "twice the tokens that were counted"
    store.add_traces([trace(3, id="uncounted", request=ASKED | {"messages": [picture]})])
    with pytest.raises(UsageError, match="more than text"):
        plan_replay(project, store, "uncounted", "incumbent", at=START)


def test_an_address_that_does_not_answer_costs_nothing(make, store):
    made = replayed(make(url="http://127.0.0.1:1"), store)
    assert made.output is None and made.error.startswith("unreachable") and made.usd == 0
    assert noted(store)[-1].detail["error"] == "unreachable" and spent_usd(store, at=START) == 0


def test_a_wrong_key_ends_the_entry_at_no_cost(project, store, monkeypatch):
    async def refused(*_):
        raise UpstreamError("answered 401")

    monkeypatch.setattr(trace_replay, "_ask", refused)
    with pytest.raises(UpstreamError):
        replayed(project, store)
    assert noted(store)[-1].detail["usd"] == "0" and spent_usd(store, at=START) == 0


def test_without_a_route_the_chosen_candidate_is_asked(project, store, incumbent):
    put(store, ASKED, route=None)
    with pytest.raises(UsageError, match="no candidate was chosen"):
        replayed(project, store, "candidate", id="other")
    plan = ServePlan(engine="echo", model="base")
    store.put(plan)
    replayed(project, store, "candidate", id="other", agreed=None)
    assert incumbent.seen[0]["model"] == plan.served_name
    assert replayed(project, store, id="other").plan.model == "gpt-4o"


def test_a_candidate_that_the_gateway_would_route_is_refused(project, store, incumbent):
    shadowed = msgspec.structs.replace(ROUTE, name="other", candidate=Target(endpoint="local"))
    store.save_route(shadowed, who="ada", at=START)
    put(store, ASKED, route="other")
    with pytest.raises(UsageError, match="no name of its own"):
        replayed(project, store, "candidate", id="other")
    bare = msgspec.structs.replace(ROUTE, name="bare", candidate=None)
    store.save_route(bare, who="ada", at=START)
    store.add_traces([captured("bare", ASKED, route="bare")])
    with pytest.raises(UsageError, match="has no candidate"):
        replayed(project, store, "candidate", id="bare")
    assert incumbent.seen == []


def test_a_route_for_any_model_would_take_a_candidates_request(project, store, incumbent):
    any_model = msgspec.structs.replace(ROUTE, name="rest", model="*", candidate=None)
    store.save_route(msgspec.structs.replace(any_model, match_keys=("team",)), who="ada", at=START)
    replayed(project, store, "candidate", agreed=None)
    store.save_route(any_model, who="ada", at=START)
    with pytest.raises(UsageError, match="the gateway would choose"):
        replayed(project, store, "candidate", agreed=None)
    assert len(incumbent.seen) == 1


@pytest.mark.parametrize(
    ("error", "is_billed"),
    [
        ("http_504: Gateway Time-out", True),
        ("http_502: bad gateway", True),
        ("timeout: no full answer", True),
        ("connection_lost: the stream ended", True),
        ("http_503: overloaded", False),
        ("http_429: slow down", False),
        ("refused_request: 400 no", False),
    ],
)
def test_what_may_have_been_answered_counts_at_its_most(project, store, monkeypatch, error, is_billed):
    async def failed(*_):
        return ChatAnswer(fault="infrastructure", error=error)

    monkeypatch.setattr(trace_replay, "_ask", failed)
    made = replayed(project, store)
    assert made.usd == (made.plan.most_usd if is_billed else 0)
