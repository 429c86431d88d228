"""The screen Cost: what is known, and what is not with the way to know it."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.store import open_store
from freehold.types.trace import Usage
from freehold.workflows.tell.views.cost import CostQuery, cost_screen

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def look(project, **query):
    with open_store(project.store_url) as store:
        return cost_screen(project, store, CostQuery(**query), at=NOW)


def test_costs_of_the_report_keep_their_record(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    evidence.with_proof(project)
    found = look(project)
    assert {one.cost.usd_per_1000 for one in found.candidates} == {Decimal("0.9"), Decimal("0.2")}
    assert {one.report_id for one in found.candidates} == {"0" * 32}


def test_a_machine_or_model_that_is_a_file_or_an_address_is_refused(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    (tmp_path / "secret.toml").write_text("password = 1")
    found = look(project, machine=str(tmp_path / "secret.toml"))
    assert found.weighed is None and "not by a file" in found.unknown[0].what
    found = look(project, model="http://127.0.0.1:1/x")
    assert found.weighed is None and "catalog" in found.unknown[0].what


def test_with_traffic_a_price_and_a_machine_the_bill_is_weighed(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    with open_store(project.store_url) as store:
        store.add_traces(
            msgspec.structs.replace(
                evidence.trace(number, f"where is parcel {number}"),
                at=datetime(2026, 1, 1 + number % 28, number % 24, tzinfo=UTC),
                usage=Usage(prompt_tokens=400, completion_tokens=5),
            )
            for number in range(200)
        )
    found = look(project, model="Qwen/Qwen3-8B", machine="L4", usd_per_hour=0.8)
    assert found.unknown == () and found.weighed.bill.model == "gpt-4o-2024-08-06"
    assert found.weighed.advice == "stay" and "L4" in found.weighed.self_host.machine
