"""The whole journey, rehearsed on the shipped fake in seconds; the bad inputs a person will bring."""

from pathlib import Path

import msgspec
import pytest
from tests.workflows.journey.rehearsal import Told, project

from freehold.errors import ConfigError, FreeholdError, InputError, UsageError
from freehold.store import open_store
from freehold.types.progress import Silent
from freehold.types.report import Report
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.project import open_project


def test_a_good_candidate_is_promoted_and_everything_is_written(tmp_path):
    opened = project(tmp_path)
    migration = migrate(opened, progress=Silent())
    assert migration.exit_code == 0
    (candidate,) = migration.report.candidates
    assert candidate.ruling.outcome == "allowed"
    assert candidate.comparison.candidate_mean == 1.0
    assert candidate.comparison.n == migration.report.dataset.split("held_out").samples
    assert "Safe to move" in Path(migration.written.html).read_text()
    kept = msgspec.json.decode(Path(migration.written.json).read_bytes(), type=Report)
    assert kept.id == migration.report.id
    with open_store(opened.store_url) as store:
        assert store.latest(Report).id == kept.id


def test_a_bad_candidate_is_rejected(tmp_path):
    migration = migrate(project(tmp_path, lamp="sofa"), progress=Silent())
    assert migration.exit_code == 1
    assert migration.report.candidates[0].verdict.outcome == "reject"


def test_too_few_items_are_held(tmp_path):
    migration = migrate(project(tmp_path, margin=0.01, rows=60), progress=Silent())
    assert migration.exit_code == 3


def test_second_run_skips_every_step_and_a_change_runs_what_depends_on_it(tmp_path):
    first, again, changed = Told(), Told(), Told()
    before = migrate(project(tmp_path), progress=first)
    assert [note for _, note in first.steps] == [""] * 4
    after = migrate(project(tmp_path), progress=again)
    assert [note for _, note in again.steps] == ["unchanged since the last run"] * 4
    for told in (first, again):
        assert [name[:5] for name, _ in told.steps] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    assert after.report.candidates == before.report.candidates
    migrate(project(tmp_path, margin=0.2), progress=changed)
    assert [bool(note) for _, note in changed.steps] == [True, True, True, False]


def test_a_model_whose_licence_is_unknown_is_never_promoted(tmp_path):
    migration = migrate(project(tmp_path, model="nobody/mystery"), progress=Silent())
    assert migration.report.candidates[0].ruling.outcome == "unclear"
    assert migration.exit_code == 3


@pytest.mark.parametrize(
    ("break_it", "error", "message"),
    [
        (lambda path: (path / "traffic.jsonl").unlink(), InputError, "no such file"),
        (lambda path: (path / "traffic.jsonl").write_text(""), UsageError, "no complete traces"),
        (lambda path: (path / "freehold.toml").write_text('[app]\nname = "x"\n'), UsageError, "no traffic"),
        (lambda path: (path / "freehold.toml").write_text('[app]\nnme = "x"\n'), ConfigError, "unknown key app.nme"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_with_a_hint_and_leaves_the_state_usable(tmp_path, break_it, error, message):
    project(tmp_path)
    break_it(tmp_path)
    with pytest.raises(error, match=message) as caught:
        migrate(open_project(tmp_path / "freehold.toml"), progress=Silent())
    assert isinstance(caught.value, FreeholdError)
    assert "\n" not in caught.value.message
    assert migrate(project(tmp_path), progress=Silent()).exit_code == 0
