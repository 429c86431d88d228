"""The search without a migration: planned, run, and kept."""

import pytest
from tests.prompts.modelled import SYSTEM
from tests.workflows.journey.prompting.shop import GOOD, Shop, block, planned, project

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.preparation import Preparation
from freehold.types.progress import Silent
from freehold.types.prompting import PromptSearch
from freehold.workflows.journey.prompt import find_prompt, plan_prompt


@pytest.fixture
def shop():
    server = Shop(block(GOOD))
    yield server
    server.shutdown()
    server.server_close()


def test_what_is_found_is_kept_with_its_preparation(tmp_path, shop):
    opened, dataset = project(tmp_path, shop.url)
    asked = planned(opened, dataset, proposer="incumbent", requests=3).request
    plan = plan_prompt(opened, asked)
    assert shop.asked == [], "a plan asks nothing"
    made = find_prompt(plan, progress=Silent())
    assert made.preparation.system_was == SYSTEM
    with open_store(opened.store_url) as store:
        assert store.latest(PromptSearch) == made
        assert store.latest(Preparation) == made.preparation


def test_the_shipped_fake_is_asked_by_name(tmp_path, shop):
    opened, dataset = project(tmp_path, shop.url)
    made = find_prompt(
        plan_prompt(opened, planned(opened, dataset, model="echo", endpoint=None).request), progress=Silent()
    )
    assert made.as_sent.malformed_share == 1.0, "it says what it was told"
    assert shop.asked == []


def test_without_a_dataset_there_is_nothing_to_search_on(tmp_path, shop):
    opened, dataset = project(tmp_path, shop.url)
    with pytest.raises(UsageError, match="no dataset"):
        plan_prompt(opened, planned(opened, dataset).request, dataset_id="nothing")
