"""The screen Licence: the ruling of the report, what the model is made of, duties and the files that meet them."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from tests.report import sample_report
from tests.workflows.tell.views import evidence

from freehold.errors import UnknownModelError, UsageError
from freehold.report import render
from freehold.store import open_store
from freehold.workflows.tell.buttons import DutyBody, duty
from freehold.workflows.tell.report import with_standing
from freehold.workflows.tell.views.license import LicenseQuery, license, shown_ruling

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def look(project, **query):
    with open_store(project.store_url) as store:
        return license(project, store, LicenseQuery(**query), at=NOW)


def test_a_model_of_the_catalog_is_ruled_on_now(project):
    hosted = msgspec.structs.replace(project.config.use, mode="hosted_service")
    project = replace(project, config=msgspec.structs.replace(project.config, use=hosted))
    detail = look(project, model="meta-llama/Llama-3.1-8B-Instruct").detail
    assert not detail.stored and detail.ruling.obligations
    assert detail.memo.startswith(detail.ruling.model) and "CHECKLIST.md" in detail.files
    shown = [one for one in detail.duties if one.obligation.key == "display_attribution"]
    assert shown and all(one.files == ("ATTRIBUTION.txt",) for one in shown)
    assert {name for one in detail.duties for name in one.files} <= set(detail.files)


def test_the_reports_ruling_is_shown_as_it_was_made(project):
    with open_store(project.store_url) as store:
        store.put(sample_report.report(sample_report.candidate()))
    found = look(project)
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
    edges = look(project).detail.lineage.edges
    assert [edge.kind for edge in edges] == ["base", "distilled_from"]
    assert edges[1].note == "9 training targets are its answers"


def test_a_duty_that_is_done_says_who_and_the_page_and_the_checklist_too(project):
    hosted = msgspec.structs.replace(project.config.use, mode="hosted_service")
    project = replace(project, config=msgspec.structs.replace(project.config, use=hosted))
    model = "meta-llama/Llama-3.1-8B-Instruct"
    id = look(project, model=model).detail.duties[0].id
    with open_store(project.store_url) as store:
        duty(project, store, DutyBody(model=model, duty=id, done=True), who="ada", at=NOW)
        with pytest.raises(UsageError, match="no such duty"):
            duty(project, store, DutyBody(model=model, duty="x", done=True), who="ada", at=NOW)
        ruling = shown_ruling(project, store, model, at=NOW)
        report = sample_report.report(sample_report.candidate(ruling=ruling))
        store.put(report)
        page = render(with_standing(project, store, report, at=NOW))
    first, *others = look(project, model=model).detail.duties
    assert (first.done.who, [one.done for one in others]) == ("ada", [None] * len(others))
    assert page.count("done, says ada, 2026-11-29") == 1


def test_a_model_that_is_not_known_is_told(project):
    with pytest.raises(UnknownModelError):
        look(project, model="/etc/passwd")
