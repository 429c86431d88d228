"""The screen Cost in a real browser: what is not known says its command; with a price the bill is weighed."""

from datetime import UTC, datetime

import msgspec
import pytest
from tests.console.conftest import serving_console
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.store import open_store
from freehold.types.trace import Usage

pytestmark = pytest.mark.browser


@pytest.fixture
def project(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    evidence.with_proof(project)
    return project


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
    traffic(project)
    with serving_console(project) as address:
        visit = visiting(address)
        page = visit.open("cost?model=Qwen/Qwen3-8B&machine=L4&usd_per_hour=0.8", waits="[data-key=month]")
        assert page.locator(".tile b").first.inner_text() == "stay"
        assert page.locator("[data-key=month] .frequencies li").count() >= 2
        assert "twice the traffic" in page.locator("[data-key=sensitivity]").inner_text()
        visit.clean()
