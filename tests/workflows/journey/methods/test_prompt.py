"""The method `prompt`: planned before anything is fetched, searched once, and served with what was found."""

from decimal import Decimal
from pathlib import Path

import pytest
from tests.workflows.journey.prompting.shop import GOOD, Shop, block, project
from tests.workflows.journey.rehearsal import Told, bench
from tests.workflows.journey.rehearsal import project as rehearsed

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.config import MethodSettings
from freehold.types.preparation import Preparation
from freehold.types.prompting import PromptSearch
from freehold.workflows.journey.methods import METHODS, Bench, Candidate, NotMadeError
from freehold.workflows.journey.methods.prompt import request_of
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.journey.steps import Steps
from freehold.workflows.project import open_project
from freehold.workflows.prove.task import task_of


@pytest.fixture
def shop():
    server = Shop(block(GOOD))
    yield server
    server.shutdown()
    server.server_close()


def ready(opened, dataset, store, told, *, only_one=False):
    from freehold.hardware.probes.machine import probe_machine

    return Bench(
        project=opened,
        store=store,
        steps=Steps(store, told, total=9),
        progress=told,
        dataset=dataset,
        task=task_of(opened),
        machine=probe_machine(opened.state),
        only_one=only_one,
    )


def candidate(**settings):
    return Candidate(model="small", method="prompt", endpoint="house", settings=MethodSettings(**settings))


def test_what_is_served_carries_the_preparation(tmp_path, shop):
    opened, dataset = project(tmp_path, shop.url)
    told = Told()
    with open_store(opened.store_url) as store:
        at = ready(opened, dataset, store, told)
        made = METHODS["prompt"].make(candidate(), at)
        asked = len(shop.asked)
        again = METHODS["prompt"].make(candidate(), at)
        assert store.latest(PromptSearch) == made.prompt
        assert store.latest(Preparation) == made.plan.preparation
    assert made.plan.preparation is not None and made.plan.preparation.reminder
    assert made.prompt.best.malformed_share == 0.0 < made.prompt.as_sent.malformed_share
    assert (again, len(shop.asked)) == (made, asked), "a step that is done is not done again"
    assert len(told.steps) == 2


def test_settings_are_what_the_search_is_asked_for():
    request = request_of(candidate(proposer="incumbent", budget_requests=60, budget_usd=Decimal(2)))
    assert (request.model, request.endpoint, request.proposer) == ("small", "house", "incumbent")
    assert (request.budget.requests, request.budget.usd) == (60, Decimal(2))


def test_a_proposer_without_a_budget_is_refused_before_anything_is_fetched(tmp_path, shop):
    opened, dataset = project(tmp_path, shop.url)
    unfetched = Candidate(model="org/not-there", method="prompt", settings=MethodSettings(proposer="itself"))
    with open_store(opened.store_url) as store:
        told = Told()
        with pytest.raises(NotMadeError, match="no budget"):
            METHODS["prompt"].make(unfetched, ready(opened, dataset, store, told))
        with pytest.raises(UsageError, match="no budget") as caught:
            METHODS["prompt"].make(unfetched, ready(opened, dataset, store, told, only_one=True))
    assert caught.value.hint and told.steps == [] and shop.asked == []


CONFIG = """[[candidates]]
model = "HuggingFaceTB/SmolLM2-135M-Instruct"
method = "prompt"
[serve]
engine = "echo"
[serve.options]
in_process = true
default = "Well, let me think about that for a while."
rules = [
  { regex = "(?s)refund.*Answer with", answer = "refund" },
  { regex = "(?s)lamp.*Answer with", answer = "lamp" },
]
"""


def test_a_whole_migration_proves_and_serves_what_was_found(tmp_path):
    """The fake answers by the label once it is told to at the end of the message."""
    rehearsed(tmp_path)
    path = tmp_path / "freehold.toml"
    text = (
        path.read_text()
        .partition("[candidates]")[0]
        .replace("held_out = 0.5", "held_out = 0.5\nvalidation = 0.2")
    )
    path.write_text(text + CONFIG)
    migration = migrate(open_project(path), progress=Told())
    (report,) = migration.report.candidates
    assert report.prompt.as_sent.score == 0.0 and report.prompt.best.score == 1.0
    assert report.comparison.candidate_mean == 1.0 and migration.exit_code == 0
    assert migration.plan.preparation == report.prompt.preparation
    page = Path(migration.written.html).read_text()
    assert "How it is asked" in page and "Answer with one label and nothing else." in page
    again = migrate(open_project(path), progress=Told())
    assert again.report.candidates == migration.report.candidates


def test_where_nothing_helps_the_model_is_served_as_it_is(tmp_path):
    opened = rehearsed(tmp_path)
    told = Told()
    with bench(opened, progress=told) as at:
        made = METHODS["prompt"].make(Candidate(model="echo", method="prompt"), at)
    assert made.plan.preparation is None and made.prompt.chosen == 0
    assert any("nothing did better" in line for line in told.said)
