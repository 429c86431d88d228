"""Ten pairs labelled through the screen, blind, by the keys; the files are those of `freehold label`."""

import json

import pytest
from tests.console.conftest import serving_console
from tests.console.waiting import until
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

pytestmark = pytest.mark.browser


@pytest.fixture
def proven(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    return project, evidence.with_proof(project, hostile=False)


def shown_labels(project):
    (path,) = (project.state / "labels").glob("*.jsonl")
    return [line for line in map(json.loads, path.read_text().splitlines()) if line["shown"]]


def test_ten_items_are_labelled_blind(visiting, proven):
    project, made = proven
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
