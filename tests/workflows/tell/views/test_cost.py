"""The screen Cost: what is known, and what is not with the way to know it."""

from decimal import Decimal

from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.workflows.tell.views.cost import CostQuery, cost_screen

look = evidence.looking(cost_screen, CostQuery)


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
