"""The screens of evidence in a real browser: data, runs, costs, licences, labels."""

import json
import re
from datetime import UTC, datetime

import msgspec
import pytest
from tests.console.conftest import serving_console, until
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.store import open_store
from freehold.types.trace import Usage

pytestmark = pytest.mark.browser
HOSTED = evidence.TOML + '[use]\nmode = "hosted_service"\n'


@pytest.fixture
def project(tmp_path):
    return project_of(tmp_path, evidence.TOML)


def traffic(project):
    with open_store(project.store_url) as store:
        store.add_traces(
            msgspec.structs.replace(
                evidence.trace(number, f"where is parcel {number}"),
                at=datetime(2026, 1, 1 + number % 28, number % 24, tzinfo=UTC),
                usage=Usage(prompt_tokens=400, completion_tokens=5),
            )
            for number in range(200)
        )


def test_a_month_with_what_it_rests_on(visiting, project):
    evidence.with_proof(project)
    traffic(project)
    with serving_console(project) as address:
        visit = visiting(address)
        page = visit.open("cost?model=Qwen/Qwen3-8B&machine=L4&usd_per_hour=0.8", waits="[data-key=month]")
        assert page.locator(".tile b").first.inner_text() == "stay"
        spans = page.locator("[data-key=month] .frequencies li span").all_inner_texts()
        assert [one.rpartition(", ")[2] for one in spans] == ["as today", "in its place", "held"]
        assert re.search(r"until \d{4}-", page.locator(".tile").nth(1).inner_text())
        assert "twice the traffic" in page.locator("[data-key=sensitivity]").inner_text()
        visit.clean()


def test_a_datasets_samples_are_shown_and_nothing_of_them_acts(visiting, project):
    evidence.with_data(project)
    with serving_console(project) as address:
        visit = visiting(address)
        page = visit.open("data", waits="[data-key=samples] .item")
        assert page.title().startswith("Data")
        assert page.locator("[data-key=samples] .item").count() > 0
        assert page.locator(".tile").count() >= 3
        visit.clean()


def shown_labels(project):
    (path,) = (project.state / "labels").glob("*.jsonl")
    return [line for line in map(json.loads, path.read_text().splitlines()) if line["shown"]]


def test_ten_items_are_labelled_blind(visiting, project):
    made = evidence.with_proof(project, hostile=False)
    with serving_console(project) as address:
        visit = visiting(address)
        page = visit.open("proof", waits=".items")
        page.get_by_role("link", name="Label pairs").click()
        page.wait_for_selector(".blind")
        shown = page.locator("#screen").inner_text()
        assert made.candidate not in shown and made.incumbent not in shown
        done = page.locator("#screen p").first
        for number in range(10):
            before = done.inner_text()
            if number % 2:
                page.keyboard.press("1")
            else:
                page.get_by_role("button", name="Right is better").click()
            until(page, "before => document.querySelector('#screen p').innerText !== before", arg=before)
        labels = shown_labels(project)
        assert len(labels) == 10 and all(one["winner"] in ("candidate", "incumbent") for one in labels)
        page.keyboard.press("u")
        until(page, "before => document.querySelector('#screen p').innerText === before", arg=before)
        assert len(shown_labels(project)) == 9
        visit.clean()


def test_duties_are_a_checklist_with_the_files_that_meet_them(visiting, tmp_path):
    with serving_console(project_of(tmp_path, HOSTED)) as address:
        visit = visiting(address)
        page = visit.open("license?model=meta-llama/Llama-3.1-8B-Instruct", waits=".checklist")
        page.locator(".checklist input").first.click()
        page.wait_for_selector(".checklist >> text=Done, says ada (console)")
        assert page.locator("[data-key=duties] h2").inner_text().startswith("Duties: 1 of ")
        page.get_by_text("CHECKLIST.md").click()
        shown = page.locator("details[open] pre").inner_text()
        assert "meta-llama" in shown and shown.count("- [x]") == 1
        page.evaluate("location.hash = '#/cost'")
        page.wait_for_selector("h1:has-text('Cost')")
        visit.open("license?model=meta-llama/Llama-3.1-8B-Instruct", waits=".checklist")
        assert page.locator(".checklist input").first.is_checked()
        assert "Built with Llama" in page.locator("#screen").inner_text()
        page.locator(".checklist input").first.click()
        page.wait_for_selector("[data-key=duties] h2:has-text('Duties: 0 of')")
        assert not page.locator(".checklist input").first.is_checked()
        visit.clean()


def test_what_if_on_another_machine(visiting, project):
    with serving_console(project) as address:
        visit = visiting(address)
        visit.page.set_default_timeout(120_000)  # ranking the catalog takes a second of the processor
        page = visit.open("models?machine=2x L4&find=qwen3-32b", waits="[data-key=rows] table")
        assert "L4" in page.locator(".tile b").first.inner_text()
        page.locator("[data-key='row-Qwen/Qwen3-32B'] a").first.click()
        page.wait_for_selector("[data-key=fit] .bar i")
        assert "GiB" in page.locator("[data-key=fit]").inner_text()
        page.get_by_label("What if on").fill("no such card")
        page.get_by_role("button", name="Apply").click()
        page.wait_for_selector("#screen .note.bad")
        assert page.get_by_label("What if on").count() == 1
        visit.clean()


def test_curves_while_it_runs_and_two_side_by_side(visiting, project):
    evidence.with_data(project)
    evidence.manifest(project.state / "adapters" / "other-1", name="other", id="c" * 32, final_loss=0.5)
    evidence.events(project.state / "adapters" / "other-1", 40)
    with serving_console(project) as address:
        visit = visiting(address)
        page = visit.open("training?run=helpdesk-2", waits="[data-key=loss] svg")
        assert page.locator(".tile b").first.inner_text() == "running"
        evidence.events(project.state / "adapters" / "helpdesk-2", 30)
        page.wait_for_selector("text=30 of 60")
        page.locator("select[name=run]").select_option("helpdesk-1")
        until(page, "() => location.hash.includes('run=helpdesk-1')")
        page.locator("select[name=against]").select_option("other-1")
        page.wait_for_selector("[data-key=differences]")
        assert "final_loss" in page.locator("[data-key=differences]").inner_text()
        assert page.locator("[data-key=loss] polyline").count() == 4
        visit.clean()
