import pytest
from tests.workflows.journey.paraphrasing.writer import planned, project

from freehold.errors import UsageError
from freehold.types.config import ParaphrasesConfig
from freehold.workflows.journey.paraphrasing.planning import writer_named


def test_each_rare_class_has_a_request_in_each_round(tmp_path):
    plan = planned(*project(tmp_path), per_class=25)
    assert plan.rare == 2, "the third has 30 samples"
    assert [ask.sample.gold for ask in plan.rounds] == ["card_lost", "pin_blocked"] * 5
    assert len({ask.key for ask in plan.rounds}) == 10
    lost = [ask.about for ask in plan.rounds if ask.sample.gold == "card_lost"]
    assert lost[:4] == [f"t-card_lost-{n}" for n in range(4)]
    assert lost[4] == lost[0], "after all of its samples the first is written after again"


def test_a_budget_in_dollars_needs_a_price(tmp_path):
    opened, dataset = project(tmp_path, price="")
    with pytest.raises(UsageError, match="no price of writer is known"):
        planned(opened, dataset, budget_usd=2)
    assert planned(opened, dataset).rounds, "a budget of requests does not"


def test_refused_where_there_is_nothing_to_write_for(tmp_path):
    opened, dataset = project(tmp_path, counts=(20, 30, 40))
    with pytest.raises(UsageError, match="at least 20 training samples"):
        planned(opened, dataset)
    opened, dataset = project(tmp_path, counts=(1, 1, 1))
    with pytest.raises(UsageError, match="the answers are not classes"):
        planned(opened, dataset)


def test_who_writes_is_found_by_its_name(tmp_path):
    opened, _ = project(tmp_path)
    assert writer_named(ParaphrasesConfig(endpoint="house"), opened) == "writer"
    assert writer_named(ParaphrasesConfig(endpoint="house/other"), opened) == "other"
    assert writer_named(ParaphrasesConfig(endpoint="incumbent"), opened) == "writer"
    with pytest.raises(UsageError, match="the writer of paraphrases nowhere is not one of"):
        writer_named(ParaphrasesConfig(endpoint="nowhere"), opened)
