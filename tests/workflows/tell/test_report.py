from pathlib import Path

import msgspec
import pytest
from tests.report.sample_report import report

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.report import Report
from freehold.workflows.tell.report import find, rewrite, write_report

FIRST = msgspec.structs.replace(report(), id="aa11" * 8)
SECOND = msgspec.structs.replace(report(), id="aa22" * 8)


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
