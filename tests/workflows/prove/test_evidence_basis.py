from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.report import sample_report as sample

from freehold.catalog import licenses
from freehold.store import open_store
from freehold.types.endpoint import AdapterMount, Preparation, ServePlan
from freehold.types.evaluation import Task
from freehold.workflows.prove import evidence_basis
from freehold.workflows.prove.evidence_basis import (
    ages_of,
    answers_folder,
    basis_of,
    catalog_part,
    plan_parts,
    task_parts,
)

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
TASK = Task(name="app", scorer="label", margin=0.03)
JUDGED = Task(name="app", scorer="judge", options={"base_url": "http://a/v1", "model": "j", "max_tokens": 9})
MOUNT = AdapterMount(name="m:app", path="adapters/a", adapter_id="1" * 32)
PLAN = ServePlan(engine="llamacpp", model="m", weights_sha256="b" * 64, adapters=(MOUNT,))
CHANGES = {
    "adapter": {"adapters": (msgspec.structs.replace(MOUNT, adapter_id="2" * 32),)},
    "prompt": {"preparation": Preparation.of(base_model="m", dataset_id="d", system="Be short.")},
    "engine": {"kv_type": "q8_0"},
}


def changed_parts(one, other):
    return {part for part in {*one, *other} if one.get(part) != other.get(part)}


@pytest.mark.parametrize("part", CHANGES)
def test_a_change_of_what_is_served_is_a_change_of_its_part_alone(part):
    assert changed_parts(plan_parts(PLAN), plan_parts(msgspec.structs.replace(PLAN, **CHANGES[part]))) == {
        part
    }


def test_where_files_lie_and_how_much_is_served_at_once_is_no_change():
    moved = msgspec.structs.replace(PLAN, weights_path="/elsewhere", port=9, parallel=8, threads=2)
    assert plan_parts(moved) == plan_parts(PLAN)


def test_another_version_of_the_engine_is_another_engine_and_asks_again(monkeypatch, tmp_path):
    before, folder = plan_parts(PLAN), answers_folder(tmp_path, PLAN)
    monkeypatch.setattr(evidence_basis.metadata, "version", lambda name: "999.0")
    assert changed_parts(before, plan_parts(PLAN)) == {"engine"}
    assert answers_folder(tmp_path, PLAN) != folder

    def missing(name):
        raise evidence_basis.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(evidence_basis.metadata, "version", missing)
    assert "engine" not in plan_parts(PLAN), "what is not known here is not compared"


def test_the_judge_is_apart_from_what_counts_as_right():
    assert "judge" not in task_parts(TASK)
    other = msgspec.structs.replace(JUDGED, options={**JUDGED.options, "model": "k"})
    assert changed_parts(task_parts(JUDGED), task_parts(other)) == {"judge"}
    stricter = msgspec.structs.replace(JUDGED, margin=0.01)
    assert changed_parts(task_parts(JUDGED), task_parts(stricter)) == {"task"}
    assert task_parts(msgspec.structs.replace(TASK, name="renamed")) == task_parts(TASK)


def test_the_day_a_licence_was_read_is_no_change_and_another_licence_is(monkeypatch):
    before = catalog_part([sample.MODEL])
    (release, *_) = licenses.releases_of(sample.MODEL)

    def now(**changed):
        monkeypatch.setattr(
            evidence_basis, "releases_of", lambda model: (msgspec.structs.replace(release, **changed),)
        )
        return catalog_part([sample.MODEL])

    assert now(checked="2030-01-01") == before
    assert now(license="MIT") != before


def test_evidence_is_held_against_what_is_in_the_store(tmp_path):
    dataset, one = sample.report().dataset, sample.candidate()
    made_at = {"quality": AT - timedelta(days=3)}
    verdict = msgspec.structs.replace(
        one.verdict, candidate="m:app", evidence=basis_of(dataset, TASK, PLAN, one.ruling, made_at)
    )
    assert set(verdict.evidence.parts) == {"data", "task", "adapter", "prompt", "engine", "catalog"}
    with open_store(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:

        def stale(task=TASK):
            (quality,) = (
                age
                for age in ages_of(store, verdict, task=task, candidate=None, at=AT, max_age_days=90)
                if age.gate == "quality"
            )
            return quality.stale

        store.put(dataset)
        store.put(PLAN)
        assert stale() == ()
        assert stale(msgspec.structs.replace(TASK, margin=0.05)) == (
            "what counts as right was changed ([task])",
        )
        store.put(msgspec.structs.replace(PLAN, weights_sha256="c" * 64))
        assert stale() == ("the weights or the adapter that are served are others",)
        store.put(PLAN)
        store.put(msgspec.structs.replace(dataset, id="9" * 32))
        assert stale() == ("the dataset is another one now",)
