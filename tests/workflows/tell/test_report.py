from pathlib import Path

import msgspec
import pytest
from tests.report.sample_report import report

from freehold.errors import StorageError, UsageError
from freehold.store import open_store
from freehold.types.report import Report
from freehold.workflows.project import open_project
from freehold.workflows.tell.report import find, rewrite, write_report

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
    assert len(list(tmp_path.iterdir())) == 5


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="the report cannot be written"):
        write_report(FIRST, tmp_path / "file")


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
    assert found == FIRST and (project.state / "reports" / "latest.html").exists()
    assert written.id == FIRST.id
