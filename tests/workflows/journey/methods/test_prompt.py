"""A candidate with a prompt of its own, from its table to what is served."""

from pathlib import Path

import pytest
from tests.workflows.journey.rehearsal import Told, bench, candidate_of, project
from tests.workflows.journey.rehearsal import project as rehearsed

from freehold.store import open_store
from freehold.types.config import MethodSettings
from freehold.types.endpoint import Preparation
from freehold.types.machine import Fit
from freehold.workflows.journey.methods import METHODS, Candidate, Made, NotMadeError
from freehold.workflows.journey.methods import as_is as method
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.project import open_project

CONFIG = """[[candidates]]
model = "HuggingFaceTB/SmolLM2-135M-Instruct"
method = "prompt"
system = "Answer with one label."
[serve]
engine = "echo"
[serve.options]
in_process = true
rules = [{ contains = "refund", answer = "refund" }, { contains = "lamp", answer = "lamp" }]
"""


def test_a_whole_migration_proves_and_serves_what_was_said(tmp_path):
    rehearsed(tmp_path)
    path = tmp_path / "freehold.toml"
    path.write_text(path.read_text().partition("[[candidates]]")[0] + CONFIG)
    opened = open_project(path)
    migration = migrate(opened, progress=Told())
    (report,) = migration.report.candidates
    assert report.comparison.candidate_mean == 1.0 and migration.exit_code == 0
    assert migration.plan.preparation.system == "Answer with one label."
    with open_store(opened.store_url) as store:
        assert store.latest(Preparation) == migration.plan.preparation
    assert (
        "The candidate was asked with a system prompt of its own in"
        in Path(migration.written.html).read_text()
    )


def test_another_system_prompt_stands_where_the_applications_does(tmp_path, monkeypatch):
    said = MethodSettings(system="One word.")
    with bench(rehearsed(tmp_path), progress=Told()) as at:
        made = METHODS["prompt"].make(Candidate(model="echo", method="prompt", settings=said), at)
        assert made.plan.preparation.system == "One word."
        assert made.plan.preparation.system_was == method.system_of(at.dataset)
        monkeypatch.setattr(method, "_SHARED", 1.1)
        with pytest.raises(NotMadeError, match="no system prompt is there to stand in for"):
            METHODS["prompt"].make(Candidate(model="echo", method="prompt", settings=said), at)


def test_a_plan_by_name_and_no_records(tmp_path):
    told = Told()
    with bench(project(tmp_path), progress=told) as ready:
        made = METHODS["as_is"].make(candidate_of(ready.project, "as_is"), ready)
        assert ready.store.latest(Fit) is None
    assert made == Made(plan=made.plan), "nothing but the plan"
    serve = ready.project.config.serve
    assert (made.plan.engine, made.plan.model) == ("echo", ready.project.config.models[0])
    assert (made.plan.options, made.plan.weights_path, made.plan.adapters) == (serve.options, None, ())
    assert told.steps == []
