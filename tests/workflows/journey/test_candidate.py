"""One candidate's way: where it stops and what its report then says, and where it is judged."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from tests.workflows.journey.rehearsal import (
    Told,
    bench,
    candidate_of,
    project,
    quick_training,
    small_machine,
    training_project,
)

from freehold.errors import WeightsError
from freehold.store import open_store
from freehold.types.dataset import Dataset
from freehold.types.evaluation import Comparison
from freehold.types.license import Ruling
from freehold.types.verdict import Verdict
from freehold.workflows.journey import candidate as journey
from freehold.workflows.journey import steps
from freehold.workflows.journey.candidate import CandidateRunner
from freehold.workflows.journey.methods import candidates
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.project import now, open_project


def test_a_candidate_on_the_fake_is_ruled_on_judged_and_kept(tmp_path):
    told = Told()
    with bench(project(tmp_path), progress=told) as ready:
        outcome = CandidateRunner(ready).run(candidate_of(ready.project, "as_is"))
        kept = [ready.store.latest(kind).id for kind in (Ruling, Comparison, Verdict)]
    report = outcome.report
    assert kept == [report.ruling.id, report.comparison.id, report.verdict.id]
    assert (report.stopped, report.verdict.outcome, report.verdict.method) == (None, "promote", "as_is")
    assert report.served_as == outcome.plan.served_name
    assert len(told.steps) == 4, "ruling, selection, mixture and proof"


def test_a_candidate_for_a_closed_set_is_planned_to_answer_nothing_else(tmp_path):
    opened = project(tmp_path)
    config = opened.config_path
    config.write_text(
        config.read_text().replace(
            'scorer = "label"', 'scorer = "label"\noptions = { labels = ["refund", "lamp"] }'
        )
    )
    with bench(open_project(config)) as ready:
        outcome = CandidateRunner(ready).run(candidate_of(ready.project, "as_is"))
    assert set(outcome.plan.labels) == {"refund", "lamp"}
    assert any("answered freely" in note for note in outcome.report.comparison.notes), (
        "the fake holds nothing"
    )


def test_the_incumbents_answers_as_examples_are_ruled_on(tmp_path):
    with bench(project(tmp_path)) as ready:
        answered = msgspec.structs.replace(
            ready.dataset, targets_from={"incumbent": 9}, incumbent_model="gpt-4o-2024-08-06"
        )
        runner = CandidateRunner(replace(ready, dataset=answered))
        with_examples = runner.make(candidate_of(ready.project, "examples")).report.ruling
        as_is = runner.make(candidate_of(ready.project, "as_is")).report.ruling
    assert any(one.model == "gpt-4o-2024-08-06" and one.outcome == "unclear" for one in with_examples.reasons)
    assert not any(one.model == "gpt-4o-2024-08-06" for one in as_is.reasons)


@pytest.mark.parametrize("outcome", ["not_allowed", "needs_separate_license"])
def test_a_licence_that_forbids_stops_before_anything_is_made(tmp_path, monkeypatch, outcome):
    def forbid(model, use, *, lineage):
        return msgspec.structs.replace(real(model, use, lineage=lineage), outcome=outcome)

    real = journey.rule_for_model
    monkeypatch.setattr(journey, "rule_for_model", forbid)
    with bench(project(tmp_path)) as ready:
        report, plan = CandidateRunner(ready).run(candidate_of(ready.project, "as_is"))
    assert report.stopped == f"the licence does not permit this use ({outcome.replace('_', ' ')})"
    assert (plan, report.comparison, report.ruling.outcome) == (None, None, outcome)


def test_only_a_method_that_trains_is_ruled_on_with_its_data(tmp_path, monkeypatch):
    lineages = []

    def rule(model, use, *, lineage):
        lineages.append(lineage)
        return real(model, use, lineage=lineage)

    real = journey.rule_for_model
    monkeypatch.setattr(journey, "rule_for_model", rule)
    with bench(project(tmp_path)) as ready:
        CandidateRunner(ready).run(candidate_of(ready.project, "as_is"))
    quick_training(monkeypatch)
    opened = training_project(tmp_path, monkeypatch)
    with bench(opened, machine=small_machine(opened)) as ready:
        CandidateRunner(ready).run(candidate_of(opened, "lora"))
    assert lineages[0] is None and lineages[1] is not None


def test_one_that_does_not_fit_stops_with_its_weights_and_fit(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    asked = quick_training(monkeypatch)
    with bench(opened, machine=small_machine(opened)) as ready:
        report, plan = CandidateRunner(ready).run(candidate_of(opened, "lora"))
    assert plan is None and asked["train"] == []
    assert report.weights.path == str(tmp_path / "tiny.gguf")
    assert not report.fit.fits and report.stopped == "; ".join(report.fit.reasons)
    assert report.trained is None and report.comparison is None


def test_weights_of_one_among_several_that_are_missing_let_the_others_go_on(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch, models=("org/nowhere", "org/elsewhere"))
    migration = migrate(opened, progress=Told(), beginning="anyway")
    assert [report.model for report in migration.report.candidates] == ["org/nowhere", "org/elsewhere"]
    assert all("weights of org/" in report.stopped for report in migration.report.candidates)
    assert (migration.best, migration.exit_code) == (None, 1)


def test_weights_of_the_only_one_that_are_missing_end_the_journey(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch, models=("org/nowhere",))
    with bench(opened) as ready, pytest.raises(WeightsError, match="weights of org/nowhere are not here"):
        CandidateRunner(ready).run(*candidates(opened.config))


def test_a_verdict_keeps_what_it_was_measured_with_and_old_evidence_is_measured_again(tmp_path, monkeypatch):
    opened = project(tmp_path, rows=120)
    clock = {"days": 100}
    monkeypatch.setattr(steps, "now", lambda: now() - timedelta(days=clock["days"]))

    def run():
        told = Told()
        (one,) = migrate(opened, progress=told, beginning="anyway").report.candidates
        proof = next(note for title, note in told.steps if "prove it on held-out samples" in title)
        return one, proof

    first, _ = run()
    evidence = first.verdict.evidence
    assert set(evidence.parts) == {"data", "task", "adapter", "prompt", "engine", "catalog"}
    assert evidence.parts["data"] == opened_dataset(opened)
    assert (now() - evidence.made_at["quality"]).days == 100
    assert first.regressions.scored == first.comparison.n and first.evaluation_id
    clock["days"] = 0
    again, note = run()
    assert note == "", "too old to be taken from the store"
    assert (now() - again.verdict.evidence.made_at["quality"]).days == 0
    assert again.comparison.look.number == 1, "the same look, not one more"
    _, note = run()
    assert note == "unchanged since the last run"


def days_old(one):
    return (now() - one.verdict.evidence.made_at["quality"]).days


def test_a_renewal_asks_once_and_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    """Answers of the selection, which lie beside those of the proof, are as old as they were."""
    opened = project(tmp_path, rows=120)
    told, asked = Told(), []
    monkeypatch.setattr(steps, "now", lambda: now() - timedelta(days=100))
    migrate(opened, progress=told, beginning="anyway")
    monkeypatch.setattr(steps, "now", now)
    files = list(opened.state.glob("evaluations/*/answers-*.jsonl"))
    assert len(files) == 2
    for path in files:
        lines = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
        long_ago = [{**line, "at": now() - timedelta(days=100)} for line in lines]
        path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in long_ago))

    real = journey.evaluate

    async def killed(*args, fresh, **more):
        asked.append(fresh)
        await real(*args, fresh=fresh, **more)
        raise KeyboardInterrupt

    async def noted(*args, fresh, **more):
        asked.append(fresh)
        return await real(*args, fresh=fresh, **more)

    monkeypatch.setattr(journey, "evaluate", killed)
    with pytest.raises(KeyboardInterrupt):
        migrate(opened, progress=told, beginning="anyway")
    monkeypatch.setattr(journey, "evaluate", noted)
    for _ in range(2):
        (one,) = migrate(opened, progress=told, beginning="anyway").report.candidates
        assert days_old(one) == 0
    assert asked == [True, False], "what a killed run was answered is kept, and once renewed is enough"


def opened_dataset(opened):
    with open_store(opened.store_url) as store:
        return store.latest(Dataset).id
