from decimal import Decimal

import msgspec
import pytest
from tests.workflows.prove.held_out import make_dataset
from tests.workflows.prove.test_evaluate import sample
from tests.workflows.watch.watching import PROMOTED, week

from freehold.errors import UsageError
from freehold.evals.frozen import FrozenAnswers, write_frozen
from freehold.types.trace import Usage
from freehold.workflows.prove.results import frozen_file
from freehold.workflows.watch.plan import plan_check, request_cost


@pytest.fixture
def recent(store):
    week(store, 1)
    return store.latest_traces(100, since=PROMOTED, complete_only=False)


def planned(project, store, recent, *, budget_usd=Decimal(1), seed="a"):
    return plan_check(project, store, recent, 20, budget_usd=budget_usd, seed=seed)


def test_requests_are_chosen_by_the_seed_alone(project, store, recent):
    plan = planned(project, store, recent)
    assert plan == planned(project, store, list(reversed(recent)))
    assert plan.samples != planned(project, store, recent, seed="b").samples
    assert (plan.against, len(plan.samples), plan.known) == ("live", 20, ["refund"] * 20)
    assert plan.notes == () and plan.estimated_usd == Decimal("0.06")


def test_a_failed_or_cut_request_is_not_asked_again(project, store, recent):
    cut = [msgspec.structs.replace(trace, completeness="cut") for trace in recent[:30]]
    plan = planned(project, store, [*cut, *recent[30:]])
    assert len(plan.samples) == len(recent) - 30
    assert f"{len(plan.samples)} users asked in this period, 20 were wanted" in plan.notes


def test_a_budget_for_nothing_asks_nothing(project, store, recent):
    plan = planned(project, store, recent, budget_usd=Decimal(0))
    assert plan.samples == [] and "enough for 0 of 20" in plan.notes[0]


def test_the_price_is_that_of_the_project(project):
    million = Usage(prompt_tokens=1_000_000, completion_tokens=1_000_000)
    assert request_cost(project, million) == Decimal(110)


def test_frozen_answers_are_compared_with_the_candidates(project, store, tmp_path):
    dataset = make_dataset(tmp_path, [sample(n, incumbent=None) for n in range(30)])
    store.put(dataset)
    gone = msgspec.structs.replace(project.config.incumbent, base_url=None)
    alone = type(project)(
        project.root, msgspec.structs.replace(project.config, incumbent=gone), project.settings, None
    )
    with pytest.raises(UsageError, match="no answers of the incumbent are frozen"):
        planned(alone, store, [])
    answers = [FrozenAnswers(sample_id=f"s{n:04}", answers=("yes",)) for n in range(25)]
    write_frozen(frozen_file(project, dataset.id), answers)
    plan = planned(alone, store, [])
    assert (plan.against, plan.estimated_usd, plan.known) == ("frozen", None, ["yes"] * 20)
