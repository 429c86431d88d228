"""Who proposes, by name, and how the proposer is asked."""

import json
import time
from decimal import Decimal

import msgspec
import pytest
from anyio.from_thread import start_blocking_portal
from tests.prompts.modelled import TASK
from tests.workflows.journey.prompting.shop import Shop, block

from freehold.errors import UsageError
from freehold.evals.chat.chat_client import ChatClient
from freehold.prompts.measuring import SearchEndedError
from freehold.prompts.replies import split
from freehold.types.config import parse
from freehold.types.endpoint import Capabilities
from freehold.types.evaluation import Task
from freehold.workflows.journey.paying.answers import PaidAnswers
from freehold.workflows.journey.prompting.asking import Purse
from freehold.workflows.journey.prompting.proposer import PATIENCE, PROPOSALS, ProposalAsker, proposer_named

HEAD = '[app]\nname = "x"\n'
HOUSE = '[[endpoints]]\nname = "house"\nbase_url = "http://h"\nmodels = ["*", "big"]\n'


def named(name, text=HOUSE, task=TASK):
    return proposer_named(name, parse(HEAD + text), task, "org/small")


def test_each_is_found_by_its_name():
    incumbent = named("incumbent", '[incumbent]\nmodel = "gpt"\nbase_url = "http://i"\napi_key_env = "K"\n')
    assert (incumbent.model, incumbent.endpoint.base_url, incumbent.endpoint.api_key_env) == (
        "gpt",
        "http://i",
        "K",
    )
    assert (named("house").model, named("house").endpoint.base_url) == ("big", "http://h")
    assert named("house/org/other").model == "org/other"
    itself = named("itself")
    assert (itself.model, itself.endpoint, itself.prices.usd("org/small", 10, 10)) == ("org/small", None, 0)
    judge = Task(
        name="t", scorer="judge", options={"base_url": "http://j", "model": "grader", "rubric": "Be fair."}
    )
    assert (named("judge", task=judge).model, named("judge", task=judge).endpoint.base_url) == (
        "grader",
        "http://j",
    )


def test_a_stated_price_is_known_and_another_is_not():
    priced = named("house", HOUSE + "price = { prompt = 1, completion = 2 }\n")
    assert priced.priced and priced.prices.usd("big", 1_000_000, 0) == 1
    assert not named("house/unheard-of-9").priced and named("itself").priced


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("hose", HOUSE, "not one of"),
        ("incumbent", HOUSE, "no address of it"),
        (
            "incumbent",
            '[incumbent]\nmodel = "c"\nbase_url = "http://i"\napi = "anthropic"\n',
            "anthropic API",
        ),
        ("judge", HOUSE, "scored by json_fields"),
        ("house", HOUSE.replace('"*", "big"', '"*"'), "lists no models"),
        ("house", HOUSE + 'api = "ollama"\n', "ollama API"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_way_out(name, text, said):
    with pytest.raises(UsageError, match=said) as caught:
        named(name, text)
    assert caught.value.hint


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Make a proposer of scripted replies; `ask(*replies, …)` gives the asking, the shop and the file."""
    monkeypatch.setattr("freehold.workflows.journey.prompting.proposer.WAITS_SECONDS", (0.0, 0.0))
    shops = []

    def ask(work, *replies, most=None, usd=None, capabilities=None, patience=PATIENCE):
        shop = Shop(*replies)
        shops.append(shop)
        text = f'[incumbent]\nmodel = "writer"\nbase_url = "{shop.url}"\nprice = {{ prompt = 2, completion = 10 }}\n'
        proposer = named("incumbent", text)
        with PaidAnswers(tmp_path / "asked.jsonl") as paid, start_blocking_portal() as portal:
            endpoint = msgspec.structs.replace(proposer.endpoint, capabilities=capabilities or Capabilities())
            client = ChatClient(endpoint, concurrency=1, patience=patience)
            with portal.wrap_async_context_manager(client):
                return work(ProposalAsker(portal, client, proposer, Purse(paid, usd), most), paid, shop)

    yield ask
    for shop in shops:
        shop.shutdown()
        shop.server_close()


def test_the_same_question_twice_gets_two_replies_and_both_are_kept(asked):
    def work(asking, paid, shop):
        said = [asking("Better?", some, current="Be kind.") for some in (["s1", "s2"], ["s1"])]
        return said, len(shop.asked)

    one, two = block("One prompt."), block("Two prompts.")
    assert asked(work, one, two) == ([one, two], 2)
    assert asked(work, "other") == ([one, two], 0), "a second run reads them"


def test_a_failed_request_counts_and_is_tried_again(asked):
    def work(asking, paid, shop):
        return asking("Better?", [], current=""), paid.of(PROPOSALS).requests

    assert asked(work, 500, 429, "at last") == ("at last", 3)


def test_none_is_sent_beyond_the_requests_allowed(asked):
    def work(asking, paid, shop):
        asking("1", [], current=""), asking("2", [], current="")
        with pytest.raises(SearchEndedError, match="2 requests to the proposer"):
            asking("3", [], current="")
        return len(shop.asked)

    assert asked(work, "yes", most=2) == 2


def test_none_is_sent_that_the_dollars_may_not_hold(asked):
    def work(asking, paid, shop):
        with pytest.raises(SearchEndedError, match="the budget"):
            asking("x" * 100, [], current="")
        return len(shop.asked), paid.spent_usd

    assert asked(work, "yes", usd=Decimal("0.02")) == (0, 0), (
        "2,048 tokens at 10 dollars a million may be written"
    )


def test_what_it_says_of_itself_ends_it(asked):
    def work(asking, paid, shop):
        with pytest.raises(SearchEndedError, match="401"):
            asking("x", [], current="")
        return paid.of(PROPOSALS).requests, paid.spent_usd

    assert asked(work, 401) == (1, 0)


def formats(shop):
    return [body.get("response_format", {}).get("type", "text") for body in shop.asked]


def test_a_proposer_that_does_not_keep_to_a_block_is_held_to_an_object_from_then_on(asked):
    told = json.dumps({"why": "It chats.", "prompt": "Answer with one JSON object."})

    def work(asking, paid, shop):
        replies = [asking(str(number), [], current="Be kind.") for number in range(3)]
        return [split(one)[0] for one in replies], formats(shop)

    wanted = [None, "Answer with one JSON object.", "Answer with one JSON object."]
    assert asked(work, "I would be glad to help!", told) == (wanted, ["text", "json_schema", "json_schema"])
    assert asked(work, "other") == (wanted, []), "a second run asks the same way"


def test_one_that_refuses_schemas_is_asked_for_a_block_again(asked):
    def work(asking, paid, shop):
        replies = [asking(str(number), [], current="Be kind.") for number in range(3)]
        return [split(one)[0] for one in replies], formats(shop), paid.of(PROPOSALS).requests

    wanted = ([None, "Two prompts.", None], ["text", "json_schema", "text", "text"], 4)
    assert asked(work, "Hello!", 400, block("Two prompts."), "Hello!") == wanted
    assert asked(work, "other") == (wanted[0], [], 4)


def test_an_engine_that_can_is_held_from_the_first_request_on(asked):
    def work(asking, paid, shop):
        asking("Better?", [], current="Be kind.")
        return formats(shop)

    told = json.dumps({"why": "", "prompt": "Answer with one JSON object."})
    assert asked(work, told, capabilities=Capabilities(json_schema=True)) == ["json_schema"]


def test_a_reply_that_ran_out_of_time_is_a_turn_that_a_second_run_does_not_ask_for_again(asked):
    def slow(body):
        if body["messages"][0]["content"].startswith("1"):
            time.sleep(2)

    def work(asking, paid, shop):
        shop.on_ask = slow
        return [asking(str(number), [], current="Be kind.") for number in (1, 2)], len(shop.asked)

    wanted = ["", block("Two prompts.")]
    hurried = PATIENCE._replace(request_seconds=1.0)
    assert asked(work, block("Two prompts."), patience=hurried) == (wanted, 2)
    assert asked(work, "other", most=2) == (wanted, 0)
