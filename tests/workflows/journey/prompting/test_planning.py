"""What a search will take, and what is refused before anything is fetched."""

from decimal import Decimal

import pytest
from tests.prompts.modelled import SYSTEM, samples
from tests.workflows.journey.prompting.shop import planned, project

from freehold.errors import MissingExtraError, UsageError
from freehold.prompts import reflection


def test_what_is_told_beforehand(tmp_path):
    opened, dataset = project(tmp_path, price="price = { prompt = 1.0, completion = 2.0 }")
    told = planned(opened, dataset, proposer="incumbent", requests=10, usd=Decimal(5)).estimate
    assert (told.variants, told.validation_samples, told.train_samples) == (8, 24, 40)
    assert (told.proposer, told.proposer_url) == ("incumbent (writer)", "http://127.0.0.1:9")
    assert told.proposer_requests == 10
    assert told.candidate_requests <= 8 * 24 + 10 * (24 + 8)
    assert 0 < told.usd < Decimal(5)
    small = planned(opened, dataset, proposer="incumbent", requests=10, usd=Decimal("0.01")).estimate
    assert small.usd == Decimal("0.01"), "never more than the budget"


def test_a_budget_in_dollars_alone_says_how_many_proposals_it_holds(tmp_path):
    opened, dataset = project(tmp_path, price="price = { prompt = 0.0, completion = 0.0 }")
    some = planned(opened, dataset, proposer="incumbent", usd=Decimal("0.1")).most_proposals
    more = planned(opened, dataset, proposer="incumbent", usd=Decimal("0.2")).most_proposals
    assert 1 < some < more == pytest.approx(2 * some, abs=1)


def test_a_price_that_is_not_known_is_not_nothing(tmp_path):
    opened, dataset = project(tmp_path)
    assert planned(opened, dataset).estimate.usd is None
    with pytest.raises(UsageError, match="no price of small is known"):
        planned(opened, dataset, usd=Decimal(1))
    assert planned(opened, dataset, endpoint=None).estimate.usd == 0, "what runs here costs no dollars"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"proposer": "incumbent"}, "no budget"),
        ({"requests": 5}, "no proposer to spend them on"),
        ({"proposer": "somebody", "requests": 5}, "not one of"),
        ({"endpoint": "hotel"}, "no endpoint hotel"),
    ],
)
def test_refused_before_anything_is_fetched(tmp_path, asked, said):
    opened, dataset = project(tmp_path)
    with pytest.raises(UsageError, match=said) as caught:
        planned(opened, dataset, **asked)
    assert caught.value.hint


def test_too_few_samples_are_refused(tmp_path):
    opened, dataset = project(tmp_path, counts=(40, 7, 5))
    with pytest.raises(UsageError, match="at least 8 validation samples, there are 7"):
        planned(opened, dataset)
    opened, dataset = project(tmp_path, counts=(3, 20, 5))
    assert planned(opened, dataset).validation
    with pytest.raises(UsageError, match="at least 4 training samples, there are 3"):
        planned(opened, dataset, proposer="itself", requests=5)


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    opened, dataset = project(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "gepa", None)
    with pytest.raises(MissingExtraError, match="'prompt'"):
        planned(opened, dataset, proposer="itself", requests=5)
    assert planned(opened, dataset).variants, "plain ways need none"
    assert reflection.MINIBATCH


def test_the_samples_are_drawn_by_the_seed_and_are_never_held_out(tmp_path):
    opened, dataset = project(tmp_path)
    first, again = (planned(opened, dataset, proposer="itself", requests=5) for _ in range(2))
    other = planned(opened, dataset, proposer="itself", requests=5, seed=1)
    assert first.validation == again.validation != other.validation
    assert {one.id[0] for one in first.validation} == {"v"} and {one.id[0] for one in first.train} == {"t"}


def test_a_prompt_must_leave_room_for_the_longest_sample(tmp_path):
    opened, dataset = project(tmp_path, context=300)
    plan = planned(opened, dataset, endpoint=None)
    assert plan.fits("short") is None
    assert "has room for" in plan.fits("long " * 200)
    tight, dataset = project(tmp_path, context=120)
    plan = planned(tight, dataset, endpoint=None)
    assert plan.fits(SYSTEM) is None, "the application's own always fits"
    assert len(plan.variants) == 4 and "4 plain changes are not tried" in str(plan.estimate.notes)


def test_requests_with_prompts_of_their_own_are_changed_in_plain_ways_only(tmp_path):
    def each(count, prefix="v", system=None):
        return [
            one for n in range(count) for one in samples(n + 1, prefix=prefix, system=f"It is day {n}.")[-1:]
        ]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tests.workflows.journey.prompting.shop.samples", each)
        opened, dataset = project(tmp_path)
    plan = planned(opened, dataset)
    assert plan.asked.varied and plan.asked.system is None
    assert "different system prompts" in str(plan.estimate.notes)
    with pytest.raises(UsageError, match="no system prompt is there to rewrite"):
        planned(opened, dataset, proposer="itself", requests=5)


def test_the_leak_check_knows_every_split(tmp_path):
    opened, dataset = project(tmp_path)
    check = planned(opened, dataset, proposer="itself", requests=5).leak_check()
    for text in ("h 3: my invoice from week 3 is not", "v 4: my parcel from week 4 is not"):
        assert check.found_in(text) is not None
    assert check.found_in(f"{SYSTEM} queue order billing delivery returns") is None
