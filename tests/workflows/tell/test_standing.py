from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from tests.report.sample_full import candidate, full

from freehold.store import open_store
from freehold.types.verdict import EvidenceAge, EvidenceBasis
from freehold.workflows.project import open_project
from freehold.workflows.tell.standing import valid_until, with_standing

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)


def age(days, most=90.0):
    return EvidenceAge(
        gate="quality", record_id="c", made_at=AT - timedelta(days=days), days=days, max_age_days=most, stale=(),
        renew="freehold migrate",
    )  # fmt: skip


def test_it_holds_until_the_first_thing_ends():
    assert valid_until((age(10),), None, incumbent="gpt-4o")[0] == date(2027, 2, 17)
    until, why = valid_until((age(10),), date(2027, 1, 14), incumbent="gpt-4o")
    assert (until, why.split(" is ")[0]) == (date(2027, 1, 14), "gpt-4o")
    assert valid_until((age(10, None),), None, incumbent=None) == (None, "")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "helpdesk"\n[incumbent]\nmodel = "gpt-4o"\n')
    return open_project()


def standing(project, report):
    with open_store(project.store_url) as store:
        store.put(report)
        for one in report.candidates:
            if one.verdict is not None:
                store.put(one.verdict)
        return with_standing(project, store, report, at=AT).standing


def test_how_things_stand_is_told_and_what_was_measured_stays(project):
    measured = EvidenceBasis(parts={}, made_at={"quality": AT - timedelta(days=10)})
    one = candidate()
    one = msgspec.structs.replace(one, verdict=msgspec.structs.replace(one.verdict, evidence=measured))
    report = full(standing=None, candidates=(one,))
    found = standing(project, report)
    assert (found.stage, found.is_latest, found.days_left) == ("hold", True, 46)
    assert found.next.command == "freehold import FILE --held-out"
    assert (found.valid_until, found.invalid) == (date(2027, 1, 14), ())
    assert found.cost is None and found.cost_why_not
    assert found.cost_command.startswith("freehold cost")
