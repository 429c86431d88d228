"""An export takes its place in one step, or what was there stays; and what the records say of it."""

import stat

import pytest
from tests.workflows.train.owned import owned_encoder

from freehold.errors import StorageError, UsageError
from freehold.progress import Silent
from freehold.store import open_store
from freehold.types.report import CandidateReport
from freehold.workflows.project import open_project
from freehold.workflows.train.exported import (
    README,
    bytes_of,
    candidate_of,
    dataset_of,
    export_folder,
    facts_of,
    hashes_of,
    stored_base,
)


def written(target, text):
    with export_folder(target) as folder:
        (folder / README).write_text(f"made by: freehold\n{text}")
        (folder / "part").mkdir()
        (folder / "part" / "a.bin").write_bytes(b"12")


def test_an_earlier_export_is_replaced_and_anything_else_left_alone(tmp_path):
    target = tmp_path / "made"
    written(target, "one")
    written(target, "two")
    assert "two" in (target / README).read_text()
    assert list(hashes_of(target)) == [README, "part/a.bin"]
    assert bytes_of(target) == 2 + (target / README).stat().st_size
    assert stat.S_IMODE((target / README).stat().st_mode) == 0o644
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match="is not an export"):
        written(mine, "three")
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("fault", "told"), [(OSError(28, "No space left"), StorageError), (KeyError, KeyError)]
)
def test_what_fails_half_way_leaves_the_earlier_one(tmp_path, fault, told):
    target = tmp_path / "made"
    written(target, "one")
    with pytest.raises(told), export_folder(target) as folder:
        (folder / README).write_text("half")
        raise fault
    assert "one" in (target / README).read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    return open_project()


def test_what_nobody_recorded_is_absent(project):
    assert stored_base(project, "test/tiny") is None
    assert dataset_of(project, "d" * 32) is None
    assert candidate_of(project, "e" * 32) is None
    facts = facts_of(project, owned_encoder(project), {}, [], Silent())
    assert facts["dataset"] is None and facts["candidate"] is None and facts["incumbent"] is None
    assert facts["passing_on"] is not None and facts["ruling"].outcome == "unclear"


def test_the_newest_lines_on_an_encoder_are_found(project, monkeypatch):
    encoder = owned_encoder(project)

    class Page:
        def __init__(self, score):
            self.candidates = (CandidateReport(model=score, encoder=encoder), CandidateReport(model="other"))

    with open_store(project.store_url):
        pass
    monkeypatch.setattr("freehold.store.Store.records", lambda self, kind: [Page("old"), Page("new")])
    assert candidate_of(project, encoder.id).model == "new"
    assert candidate_of(project, "none") is None
