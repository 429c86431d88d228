"""What the records say of something exported, and what is not known."""

import pytest
from tests.workflows.train.owned import owned_encoder

from freehold.store import open_store
from freehold.types.progress import Silent
from freehold.types.report import CandidateReport
from freehold.workflows.project import open_project
from freehold.workflows.train import export_records
from freehold.workflows.train.export_records import candidate_of, dataset_of, rulings_of, stored_base


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
    own, passing_on = rulings_of(project, "test/tiny", None, Silent())
    assert own is not None and passing_on is not None and own.outcome == "unclear"


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
    assert export_records.ExportRulings(None, None).own is None
