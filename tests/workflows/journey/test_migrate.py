"""The whole journey, rehearsed on the shipped fake in seconds; the bad inputs a person will bring."""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest
from tests.workflows.journey.rehearsal import Told, project

from freehold.errors import ConfigError, FreeholdError, InputError, UsageError
from freehold.progress import Silent
from freehold.store import open_store
from freehold.types.record import Record
from freehold.types.report import Report
from freehold.workflows.journey.migrate import first_request, migrate
from freehold.workflows.journey.steps import Steps, prepare
from freehold.workflows.project import open_project
from freehold.workflows.prove.preflight import PreflightError


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


def test_too_few_items_are_refused_before_the_first_candidate_and_held_anyway(tmp_path):
    opened, told = project(tmp_path, margin=0.01, rows=60), Told()
    with pytest.raises(PreflightError, match="with n = 31 you can prove") as caught:
        migrate(opened, progress=told)
    assert [name[:3] for name, _ in told.steps] == ["[1]", "[2]"]
    assert "hold out 384 items at least" in caught.value.hint and "--anyway" in caught.value.hint
    assert migrate(opened, progress=told, beginning="anyway").exit_code == 3
    assert any(line.startswith("margin: with n = 31") for line in told.said)
    assert migrate(opened, progress=Silent()).exit_code == 3, "the same again spends nothing"


def test_a_scorer_without_its_options_is_told_before_files_are_read(tmp_path):
    project(tmp_path)
    path = tmp_path / "freehold.toml"
    path.write_text(path.read_text().replace('scorer = "label"', 'scorer = "judge"'))
    (tmp_path / "traffic.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"scorer judge: .*base_url"):
        migrate(open_project(path), progress=Silent())


def test_second_run_skips_every_step_and_a_change_runs_what_depends_on_it(tmp_path):
    first, again, changed = Told(), Told(), Told()
    before = migrate(project(tmp_path), progress=first)
    assert [note for _, note in first.steps] == [""] * 6
    after = migrate(project(tmp_path), progress=again)
    assert [note for _, note in again.steps] == ["unchanged since the last run"] * 6
    for told in (first, again):
        assert [name[:3] for name, _ in told.steps] == [f"[{number}]" for number in range(1, 7)]
    assert after.report.candidates == before.report.candidates
    migrate(project(tmp_path, margin=0.2), progress=changed)
    assert [bool(note) for _, note in changed.steps] == [True, True, True, False, False, False]


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


def test_five_edits_of_the_prompt_neither_multiply_the_items_nor_begin_the_looks_anew(tmp_path):
    """A word in [data] system had made a promote of a hold: n doubled, and the look was the first again."""
    project(tmp_path)
    path = tmp_path / "freehold.toml"
    text, seen = path.read_text(), []
    for edit in range(6):
        path.write_text(text.replace("[data]\n", f'[data]\nsystem = "Answer{", please" * edit}"\n'))
        migration = migrate(open_project(path), progress=Silent())
        seen.append((migration.report.candidates[0].comparison, migration))
    first = seen[0][0]
    assert [found.n for found, _ in seen] == [first.n] * 6
    assert [found.look.number for found, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert [found.verdict for found, _ in seen] == ["promote", *["hold"] * 5]
    last, migration = seen[-1]
    assert last.look.shared == last.look.items == first.look.items
    assert last.look.first_evaluation == seen[1][0].look.first_evaluation
    said = "Evaluation 6 of these items, the first on"
    assert said in migration.report.candidates[0].verdict.reasons[0].text
    assert said in " ".join(Path(migration.written.html).read_text().split())


def project_at(folder, records):
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (folder / "freehold.toml").write_text(
        '[app]\nname = "a"\n[data]\nfiles = ["log.jsonl"]\nheld_out = 0.5\nsystem = "Name it."\n'
        "[task]\nmax_tokens = 9\n"
    )
    return open_project(folder / "freehold.toml")


def test_it_asks_what_the_application_asks(tmp_path):
    project = project_at(
        tmp_path, [{"input": hashlib.sha256(b"%d" % n).hexdigest(), "label": "status"} for n in range(40)]
    )
    prepare(project, progress=Silent())
    found = first_request(project, "base:a")
    body = json.loads(found.path.read_text())
    assert body["model"] == "base:a" and body["max_tokens"] == 9
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][-1]["content"] == found.asks and len(found.asks) == 64


def test_without_a_dataset_there_is_none(tmp_path):
    assert first_request(project_at(tmp_path, []), "base:a") is None


class Result(Record, frozen=True, kw_only=True):
    number: int


@pytest.fixture
def run(store):
    """Runs a step named ``count`` in a new run of the workflow; each that works makes the next number."""
    made = []

    def step(inputs, *, fresh=False, progress=None, **options):
        def work():
            made.append(inputs)
            return Result(number=len(made))

        steps = Steps(store, progress or Silent(), fresh=fresh)
        return steps.run("count", "count", inputs, Result, work, **options).number, steps.times[0].skipped

    return step


def test_a_step_runs_once_for_the_same_inputs(run):
    assert run(["a", 1]) == (1, False)
    assert run(["a", 1]) == (1, True)
    assert run(["a", 2]) == (2, False)
    assert run(["a", 2], fresh=True) == (3, False)


def test_a_result_whose_files_are_gone_is_made_again(run, tmp_path):
    def there(result):
        return (tmp_path / f"{result.number}").exists()

    assert run("a", still_there=there) == (1, False)
    assert run("a", still_there=there) == (2, False)
    (tmp_path / "2").touch()
    assert run("a", still_there=there) == (2, True)


def test_a_step_that_fails_is_not_done(store, run):
    def fail():
        raise OSError("disk full")

    with pytest.raises(OSError):
        Steps(store, Silent()).run("count", "count", "a", Result, fail)
    assert run("a") == (1, False)
