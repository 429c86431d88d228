"""What a server without a place to write says, in one line."""

import os
import tempfile

import pytest

from freehold.errors import StorageError
from freehold.workflows.project import open_project
from freehold.workflows.serve.folders import check_folders


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return open_project()


def test_folders_that_can_be_written_are_left_as_they_are(project):
    check_folders(project)
    assert [path.name for path in project.state.iterdir()] == [".gitignore"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; tests/deploy has a read-only root")
def test_a_state_folder_of_another_user(project):
    project.state.chmod(0o500)
    with pytest.raises(
        StorageError, match="the state folder cannot be written: Permission denied"
    ) as refused:
        check_folders(project)
    assert "mount a volume" in refused.value.hint
    project.state.chmod(0o700)


def test_no_place_for_temporary_files(project, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "gone")])
    with pytest.raises(StorageError, match="temporary files") as refused:
        check_folders(project)
    assert "--tmpfs /tmp" in refused.value.hint
