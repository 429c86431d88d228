"""A candidate with examples, on the shipped fake: what is served, what is asked once, and what is refused first."""

import shutil
from pathlib import Path

import msgspec
import pytest
from tests.workflows.journey.rehearsal import Told, bench, candidate_of, project, training_project

from freehold.errors import EngineError
from freehold.preparing import request
from freehold.preparing.index import is_there
from freehold.progress import Silent
from freehold.types.config import MethodSettings
from freehold.types.endpoint import Preparation
from freehold.workflows.journey.methods import METHODS, Candidate, NotMadeError
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.project import open_project
from freehold.workflows.serve.plan import project_plan

EXAMPLES = METHODS["examples"]


def candidate(opened, **settings):
    plain = candidate_of(opened, "examples")
    return Candidate(model=plain.model, method="examples", settings=MethodSettings(**settings))


def test_the_plan_carries_the_preparation(tmp_path):
    with bench(project(tmp_path)) as ready:
        made = EXAMPLES.make(candidate(ready.project), ready)
        assert ready.store.latest(Preparation) == made.plan.preparation
        as_is = METHODS["as_is"].make(candidate_of(ready.project, "as_is"), ready)
    preparation = made.plan.preparation
    assert msgspec.structs.replace(made, plan=msgspec.structs.replace(made.plan, preparation=None)) == as_is
    index = preparation.examples
    assert Path(index.path).parent == ready.project.state / "examples" and is_there(index)
    assert index.samples == ready.dataset.split("train").samples
    assert (index.k, index.order, index.retriever) == (2, "nearest_last", "bm25"), "all are right: the fewest"
    assert index.context_tokens == made.plan.context_tokens
    assert made.plan.key != as_is.plan.key, "it is proven as what it is"


def test_each_step_is_done_once_and_again_where_its_index_is_gone(tmp_path):
    opened, first, second, third = project(tmp_path), Told(), Told(), Told()
    for who in (first, second):
        with bench(opened, progress=who) as ready:
            made = EXAMPLES.make(candidate(opened), ready)
    assert len(first.steps) == 2 and [note for _, note in first.steps] == ["", ""]
    assert [note for _, note in second.steps] == ["unchanged since the last run"] * 2
    assert any("of 25 validation samples" in line or "validation samples" in line for line in first.said)
    shutil.rmtree(made.plan.preparation.examples.path)
    with bench(opened, progress=third) as ready:
        assert EXAMPLES.make(candidate(opened), ready).plan == made.plan
    assert [note for _, note in third.steps] == ["", "unchanged since the last run"]


def test_a_context_without_room_is_refused_before_anything_is_fetched(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)  # 64 tokens of context, as many as an answer may have
    who = Told()
    with bench(opened, progress=who) as ready, pytest.raises(NotMadeError, match="no room for one example"):
        EXAMPLES.make(candidate(opened), ready)
    assert who.steps == []


def test_what_a_migration_promoted_is_what_is_served_from_then_on(tmp_path):
    """Named in the file, proven with its examples, kept, and started again by `freehold up`."""
    opened = project(tmp_path)
    path = tmp_path / "freehold.toml"
    named = path.read_text().partition("[[candidates]]")
    serve = named[2].partition("[serve]")
    table = f'[[candidates]]\nmodel = "{opened.config.models[0]}"\nmethod = "examples"\n'
    path.write_text(named[0] + table + serve[1] + serve[2])
    opened = open_project(path)
    migration = migrate(opened, progress=Silent())
    assert migration.exit_code == 0
    (candidate_report,) = migration.report.candidates
    assert candidate_report.method == "examples"
    plan = project_plan(opened)
    shown = f"was asked with {plan.preparation.examples.k} of"
    assert any(shown in note for note in candidate_report.comparison.notes)
    request.check(plan)
    shutil.rmtree(plan.preparation.examples.path)
    with pytest.raises(EngineError, match="cannot be read"):
        request.check(project_plan(opened))
    assert migrate(opened, progress=Silent()).exit_code == 0
    request.check(project_plan(opened))
