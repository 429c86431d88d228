"""The screens Models, Cost and Licence."""

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest
from tests.report import sample_report
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.errors import UnknownModelError, UsageError
from freehold.report import render
from freehold.store import open_store
from freehold.workflows.tell.buttons import DutyBody, duty
from freehold.workflows.tell.report import with_standing
from freehold.workflows.tell.views.cost import CostQuery, cost_screen
from freehold.workflows.tell.views.license import LicenseQuery, license, shown_ruling
from freehold.workflows.tell.views.models import ModelsQuery, models
from freehold.workflows.tell.views.query import catalog_model, machine_words

look = evidence.looking(models, ModelsQuery)


def test_what_if_on_another_machine(project):
    found = look(project, machine="2x H100", model="Qwen/Qwen3-32B")
    assert found.what_if == "2x H100" and "H100" in found.machine
    assert found.fit.model.startswith("Qwen/Qwen3-32B") and found.fit.fits and len(found.fit.parts) > 2
    assert sum(part.bytes for part in found.fit.parts) == found.fit.total_bytes
    small = look(project, machine="T4", model="Qwen/Qwen3-32B")
    assert not small.fit.fits and small.counts["shortlisted"] < found.counts["shortlisted"]
    assert found.command == "freehold assess --machine '2x H100'"


def test_each_model_left_out_says_why(project):
    found = look(project, machine="T4", show="excluded")
    assert found.rows and {row.outcome for row in found.rows} == {"excluded"}
    assert all(row.reasons for row in found.rows)
    assert found.matching == found.counts["excluded"]
    assert look(project, machine="T4", find="no such model").rows == ()
    seen, after = [], 0
    while after is not None:
        page = look(project, machine="T4", show="excluded", after=after)
        seen += [row.model for row in page.rows]
        after = page.next_after
    assert len(seen) == len(set(seen)) == found.matching


@pytest.mark.parametrize(
    "query", [{"machine": "T4", "model": "http://127.0.0.1:1"}, {"machine": "/etc/passwd"}]
)
def test_what_is_not_understood_is_told_and_nothing_is_opened(project, query, monkeypatch):
    monkeypatch.setattr("freehold.hardware.probes.memory_bandwidth", lambda cores: None)
    found = look(project, **query)
    assert found.problem and found.rows and found.fit is None


@pytest.mark.parametrize("spec", ["/etc/passwd", "machine.toml", "..\\x", "no such card"])
def test_files_and_nonsense_are_refused(spec):
    with pytest.raises(UsageError):
        machine_words(spec)


def test_a_file_here_that_is_named_like_a_card_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "L4").write_text("x")
    with pytest.raises(UsageError, match="not by a file"):
        machine_words("L4")


def test_models_are_those_of_the_catalog():
    assert catalog_model("qwen/qwen3-8b") == "Qwen/Qwen3-8B"
    assert catalog_model(None) is None
    for name in ("http://127.0.0.1:1", "/etc/passwd", "nix/nix"):
        with pytest.raises(UnknownModelError):
            catalog_model(name)


look_of_cost = evidence.looking(cost_screen, CostQuery)


def test_costs_of_the_report_keep_their_record(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    evidence.with_proof(project)
    found = look_of_cost(project)
    assert {one.cost.usd_per_1000 for one in found.candidates} == {Decimal("0.9"), Decimal("0.2")}
    assert {one.report_id for one in found.candidates} == {"0" * 32}


def test_a_machine_or_model_that_is_a_file_or_an_address_is_refused(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    (tmp_path / "secret.toml").write_text("password = 1")
    found = look_of_cost(project, machine=str(tmp_path / "secret.toml"))
    assert found.weighed is None and "not by a file" in found.unknown[0].what
    found = look_of_cost(project, model="http://127.0.0.1:1/x")
    assert found.weighed is None and "catalog" in found.unknown[0].what


look_of_license = evidence.looking(license, LicenseQuery)


def test_a_model_of_the_catalog_is_ruled_on_now(project):
    hosted = msgspec.structs.replace(project.config.use, mode="hosted_service")
    project = replace(project, config=msgspec.structs.replace(project.config, use=hosted))
    detail = look_of_license(project, model="meta-llama/Llama-3.1-8B-Instruct").detail
    assert not detail.stored and detail.ruling.obligations
    assert detail.memo.startswith(detail.ruling.model) and "CHECKLIST.md" in detail.files
    shown = [one for one in detail.duties if one.obligation.key == "display_attribution"]
    assert shown and all(one.files == ("ATTRIBUTION.txt",) for one in shown)
    assert {name for one in detail.duties for name in one.files} <= set(detail.files)


def test_the_reports_ruling_is_shown_as_it_was_made(project):
    with open_store(project.store_url) as store:
        store.put(sample_report.report(sample_report.candidate()))
    found = look_of_license(project)
    assert found.detail.stored and found.detail.ruling.id == "a" * 32
    assert found.detail.duties[0].due and found.models[0] == sample_report.MODEL


def test_what_a_trained_model_learned_from_is_in_its_lineage(project):
    dataset, adapter, _ = evidence.with_data(project)
    with open_store(project.store_url) as store:
        store.put(sample_report.report(sample_report.candidate(trained=adapter, method="lora", ruling=None)))
        store.put(
            msgspec.structs.replace(
                dataset, targets_from={"gold": 1, "incumbent": 9}, incumbent_model="gpt-4o-2024-08-06"
            )
        )
    edges = look_of_license(project).detail.lineage.edges
    assert [edge.kind for edge in edges] == ["base", "distilled_from"]
    assert edges[1].note == "9 training targets are its answers"


def test_a_duty_that_is_done_says_who_and_the_page_and_the_checklist_too(project):
    hosted = msgspec.structs.replace(project.config.use, mode="hosted_service")
    project = replace(project, config=msgspec.structs.replace(project.config, use=hosted))
    model = "meta-llama/Llama-3.1-8B-Instruct"
    id = look_of_license(project, model=model).detail.duties[0].id
    with open_store(project.store_url) as store:
        duty(project, store, DutyBody(model=model, duty=id, done=True), who="ada", at=evidence.NOW)
        with pytest.raises(UsageError, match="no such duty"):
            duty(project, store, DutyBody(model=model, duty="x", done=True), who="ada", at=evidence.NOW)
        ruling = shown_ruling(project, store, model, at=evidence.NOW)
        report = sample_report.report(sample_report.candidate(ruling=ruling))
        store.put(report)
        page = render(with_standing(project, store, report, at=evidence.NOW))
    first, *others = look_of_license(project, model=model).detail.duties
    assert (first.done.who, [one.done for one in others]) == ("ada", [None] * len(others))
    assert page.count("done, says ada, 2026-11-29") == 1
