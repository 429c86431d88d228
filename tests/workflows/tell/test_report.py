from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from tests.report.sample_full import candidate, full
from tests.report.sample_report import report

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.evidence import EvidenceAge, EvidenceBasis
from freehold.types.report import Report
from freehold.workflows.project import open_project
from freehold.workflows.tell.report import find, rewrite, valid_until, with_standing, write_report

FIRST = msgspec.structs.replace(report(), id="aa11" * 8)
SECOND = msgspec.structs.replace(report(), id="aa22" * 8)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return open_project()


def test_a_report_is_a_page_its_data_and_the_latest(tmp_path):
    write_report(FIRST, tmp_path)
    written = write_report(SECOND, tmp_path)
    assert (tmp_path / "latest.html").read_text() == (tmp_path / f"report-{SECOND.id[:12]}.html").read_text()
    assert msgspec.json.decode(Path(written.json).read_bytes(), type=Report) == SECOND
    assert (tmp_path / f"report-{SECOND.id[:12]}.md").read_text().startswith("# helpdesk")
    assert len(list(tmp_path.iterdir())) == 7


def test_a_report_is_found_by_the_start_of_its_id(project):
    with pytest.raises(UsageError, match="no report yet"):
        find(project)
    with open_store(project.store_url) as store:
        store.put(FIRST)
        store.put(SECOND)
    assert find(project) == SECOND
    assert find(project, "aa11") == FIRST
    with pytest.raises(UsageError, match="2 reports start with aa"):
        find(project, "aa")
    with pytest.raises(UsageError, match="no report ff"):
        find(project, "ff")
    found, written = rewrite(project, "aa11")
    assert msgspec.structs.replace(found, standing=None) == FIRST
    assert (project.state / "reports" / "latest.html").exists()
    assert written.id == FIRST.id and not found.standing.is_latest
    assert found.standing.next.command.startswith("freehold ")


def test_what_is_shared_is_a_file_of_its_own(project):
    with open_store(project.store_url) as store:
        store.put(FIRST)
    found, written = rewrite(project, share=True)
    assert found.is_shared and written.html.endswith(f"report-{FIRST.id[:12]}-shared.html")
    assert not (project.state / "reports" / "latest.html").exists(), "what was kept stays the latest"


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
def project_of_standing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "helpdesk"\n[incumbent]\nmodel = "gpt-4o"\n')
    return open_project()


def standing(project_of_standing, report):
    with open_store(project_of_standing.store_url) as store:
        store.put(report)
        for one in report.candidates:
            if one.verdict is not None:
                store.put(one.verdict)
        return with_standing(project_of_standing, store, report, at=AT).standing


def test_how_things_stand_is_told_and_what_was_measured_stays(project_of_standing):
    measured = EvidenceBasis(parts={}, made_at={"quality": AT - timedelta(days=10)})
    one = candidate()
    one = msgspec.structs.replace(one, verdict=msgspec.structs.replace(one.verdict, evidence=measured))
    report = full(standing=None, candidates=(one,))
    found = standing(project_of_standing, report)
    assert (found.stage, found.is_latest, found.days_left) == ("hold", True, 46)
    assert found.next.command == "freehold import FILE --held-out"
    assert (found.valid_until, found.invalid) == (date(2027, 1, 14), ())
    assert found.cost is None and found.cost_why_not
    assert found.cost_command.startswith("freehold cost")
