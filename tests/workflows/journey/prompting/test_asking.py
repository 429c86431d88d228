"""Samples asked and scored, each request on the disk before it is sent."""

from decimal import Decimal

import pytest
from anyio.from_thread import start_blocking_portal
from tests.prompts.modelled import ASKED, TASK, samples
from tests.workflows.journey.prompting.shop import Watched

from freehold.evals.chat.chat_client import ChatClient
from freehold.evals.scoring import scorer_of
from freehold.prompts.measuring import SearchEndedError
from freehold.types.config import PriceConfig
from freehold.types.endpoint import Endpoint
from freehold.workflows.journey.paying.answers import PaidAnswers
from freehold.workflows.journey.paying.prices import Prices
from freehold.workflows.journey.prompting.asking import ANSWERS, AskedModelTask, CandidateMeasure, Purse

DOLLAR = PriceConfig(prompt=Decimal(1), completion=Decimal(1))
AS_SENT, IN_JSON = ASKED.preparation(), ASKED.preparation(reminder="Answer in JSON.")


def measured(shop, path, ask, *, budget_usd=None, progress=None):
    """What `ask(measure, paid)` returns, with a measure on the shop's small model."""
    with PaidAnswers(path) as paid, start_blocking_portal() as portal:
        client = ChatClient(Endpoint(name="shop", engine="remote", base_url=shop.url), concurrency=3)
        with (
            portal.wrap_async_context_manager(client),
            portal.wrap_async_context_manager(scorer_of(TASK)) as scorer,
        ):
            asked = AskedModelTask(client, "small", TASK, scorer, Prices(DOLLAR, "small"), 3)
            measure = CandidateMeasure(portal, asked, Purse(paid, budget_usd), progress or Watched())
            return ask(measure, paid)


def test_answers_are_scored_in_the_samples_order_and_asked_once(tmp_path, shop):
    some = samples(10)

    def ask(measure, paid):
        first = measure(AS_SENT, some, name="as sent")
        twice = measure(IN_JSON, [some[9], some[0], some[9]], name="reminder")
        again = measure(AS_SENT, some[:4], name="as sent")
        return first, twice, again, paid.of(ANSWERS).requests

    first, twice, again, requests = measured(shop, tmp_path / "asked.jsonl", ask)
    assert [one.sample.id for one in first] == [one.id for one in some]
    assert not any(one.format_ok for one in first) and first[0].reason.startswith("not_json")
    assert [(one.sample.id, one.score) for one in twice] == [("v0009", 0.0), ("v0000", 1.0), ("v0009", 0.0)]
    assert first[0].prompt_tokens > 0 and twice[0].prompt_tokens == first[9].prompt_tokens + 3
    assert again == first[:4]
    assert requests == len(shop.asked) == 12


def test_the_application_s_request_is_prepared_and_not_otherwise_changed(tmp_path, shop):
    (sample,) = samples(1)
    measured(shop, tmp_path / "asked.jsonl", lambda measure, paid: measure(IN_JSON, [sample], name="x"))
    (sent,) = shop.of("small")
    assert [one["content"] for one in sent["messages"]] == [
        sample.messages[0].content,
        f"{sample.messages[1].content}\n\nAnswer in JSON.",
    ]


def test_a_budget_is_kept_with_several_under_way(tmp_path, shop):
    def ask(measure, paid):
        with pytest.raises(SearchEndedError, match="the budget: "):
            measure(AS_SENT, samples(30), name="as sent")
        return paid.committed_usd, paid.spent_usd

    committed, spent = measured(shop, tmp_path / "asked.jsonl", ask, budget_usd=Decimal("0.001"))
    assert committed == spent <= Decimal("0.001"), "what was under way has come back and is counted"
    assert 0 < len(shop.asked) < 30
    none = measured(shop, tmp_path / "asked.jsonl", lambda m, paid: m(AS_SENT, [], name="nothing"))
    assert none == []


def test_progress_counts_what_is_asked_now(tmp_path, shop):
    watched = Watched()

    def ask(measure, paid):
        measure(AS_SENT, samples(6), name="as sent")
        measure(AS_SENT, samples(8), name="again")

    measured(shop, tmp_path / "asked.jsonl", ask, progress=watched)
    assert watched.updates[5] == (6, 6, "as sent") and watched.updates[-1] == (2, 2, "again")
