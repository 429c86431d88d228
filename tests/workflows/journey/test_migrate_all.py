from pathlib import Path

import msgspec
import pytest
from tests.workflows.journey.rehearsal import Told, project

from freehold.errors import UsageError
from freehold.types.migrated import AllMigrated
from freehold.types.progress import Silent
from freehold.workflows.journey.migrate_all import migrate_all, projects_in


@pytest.fixture
def three(tmp_path):
    """A project that is promoted, one that fails, and one that is rejected."""
    for name, changes in {"a-good": {}, "b-broken": {}, "c-bad": {"lamp": "sofa"}}.items():
        (tmp_path / name).mkdir()
        project(tmp_path / name, **changes)
    (tmp_path / "b-broken" / "traffic.jsonl").unlink()
    return tmp_path


def test_one_that_fails_does_not_stop_the_others(three):
    done = migrate_all(three, progress=Silent())
    assert [one.outcome for one in done.projects] == ["promote", "failed", "reject"]
    assert "no such file" in done.projects[1].why
    assert done.exit_code == 2
    page = (three / "tasks.html").read_text()
    for one in (done.projects[0], done.projects[2]):
        assert (three / one.page).is_file() and f'href="{one.page}"' in page
    assert msgspec.json.decode((three / "tasks.json").read_bytes(), type=AllMigrated) == done


def test_a_second_run_skips_what_is_done(three):
    (three / "b-broken" / "freehold.toml").unlink()
    assert migrate_all(three, progress=Silent()).exit_code == 1
    again = Told()
    migrate_all(three, progress=again)
    assert {note for _, note in again.steps} == {"unchanged since the last run"}
    assert "task 2 of 2: c-bad" in again.said


def test_a_folder_without_projects_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no project in a folder right below it"):
        projects_in(Path(tmp_path))
