"""Datasets as a project builds them: curated, with a card, the same again from the same traces."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from freehold.datasets import building
from freehold.errors import UsageError
from freehold.settings import load as load_settings
from freehold.store import open_store
from freehold.types.config import parse
from freehold.types.trace import Trace
from freehold.workflows.data import curate
from freehold.workflows.data import dataset as workflow
from freehold.workflows.data.diff import diff
from freehold.workflows.project import Project

TOML = """
[app]
name = "shop"
[incumbent]
model = "gpt-4o-2024-08-06"
[task]
scorer = "label"
[curate]
personal_data = "patterns"
"""
COLOURS = ["red", "green", "blue", "violet", "orange", "brown", "silver"]


def project_of(folder: Path, toml: str = TOML) -> Project:
    return Project(folder, parse(toml), load_settings({"FREEHOLD_HOME": str(folder / "home")}), None)


def trace(number, text, *, gold="yes", incumbent="yes", **fields):
    said = (
        None if incumbent is None else {"choices": [{"message": {"role": "assistant", "content": incumbent}}]}
    )
    return Trace(
        id=f"t{number:05}",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        source="import:log.jsonl#1",
        model="gpt-4o-2024-08-06",
        request={"messages": [{"role": "user", "content": text}]},
        response=said,
        gold=gold,
        **fields,
    )


def question(number):
    return f"does lamp {number * 7919} come in {COLOURS[number % 7]}, and in size {number}? {chr(97 + number % 26) * 6}"


def fill(project, traces):
    with open_store(project.store_url) as store:
        store.add_traces(traces)


@pytest.mark.parametrize(
    ("changes", "teaches"),
    [
        ({}, True),
        ({"arm": "candidate"}, False),
        ({"arm": "candidate", "gold": "refund"}, True),
        ({"parent_id": "t0", "gold": "refund"}, False),
        ({"status": 500}, False),
        ({"kind": "embeddings"}, False),
    ],
)
def test_what_teaches(changes, teaches):
    """The incumbent's answers, and those that were corrected."""
    assert workflow._teaches(trace(1, "hello", **{"gold": None} | changes)) == teaches


def test_a_dataset_is_found_by_id_beginning_name_or_folder(tmp_path):
    project = project_of(tmp_path)
    with open_store(project.store_url) as store, pytest.raises(UsageError, match="no dataset yet"):
        workflow.find_dataset(store)
    fill(project, [trace(n, question(n)) for n in range(60)])
    first = workflow.build(project)
    fill(project, [trace(n, question(n)) for n in range(60, 90)])
    second = workflow.build(project)
    with open_store(project.store_url) as store:
        assert workflow.find_dataset(store) == second
        assert workflow.find_dataset(store, "shop") == second
        assert workflow.find_dataset(store, first.id) == first
        assert workflow.find_dataset(store, first.id[:12]) == first
        assert workflow.find_dataset(store, first.path).id == first.id
        with pytest.raises(UsageError, match="no dataset has an id starting with nix") as raised:
            workflow.find_dataset(store, "nix")
        assert raised.value.hint == "freehold dataset list shows them"
        with pytest.raises(UsageError, match="2 datasets have an id starting with"):
            workflow.find_dataset(store, "")


def test_the_same_person_is_the_same_placeholder_in_all_splits(tmp_path):
    project = project_of(tmp_path)
    fill(
        project,
        [
            trace(n, f"{question(n)} I am ada@example.com", incumbent="mail ada@example.com")
            for n in range(60)
        ],
    )
    dataset = workflow.build(project)
    short = curate.data_in_short(dataset)
    assert any("personal data: looked for by built-in patterns" in line for line in short)
    assert any("answered by gpt-4o-2024-08-06" in line for line in short)
    assert not any("lamp" in line for line in short), "nothing of any sample"
    text = "".join((Path(dataset.path) / f"{name}.jsonl").read_text() for name in ("train", "held_out"))
    assert "ada@example.com" not in text
    assert len({word for word in text.replace('"', " ").split() if word.startswith("<EMAIL_")}) == 1
    card = curate.read_card(dataset)
    assert card.replaced["EMAIL"].different == 1 and card.replaced["EMAIL"].samples == 60
    key = project.state / curate.KEY
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and len(key.read_bytes()) == 32


def test_built_again_it_is_the_same_and_with_more_nothing_old_moves(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, f"{question(n)} call +49 170 12345{n:02}") for n in range(60)])
    first = workflow.build(project)
    assert workflow.build(project).id == first.id
    fill(project, [trace(n, question(n)) for n in range(60, 120)])
    second = workflow.build(project)
    found = diff(first, second)
    assert not found.moved and all(split.removed == 0 for split in found.splits.values())
    assert sum(split.added for split in found.splits.values()) == 60


def test_the_same_traces_in_other_words_are_told_from_new_ones(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, f"{question(n)}" + " call +49 170 1234567" * (n < 20)) for n in range(60)])
    first = workflow.build(project)
    bare = Project(
        project.root, parse(TOML.replace('"patterns"', '"off"')), project.settings, project.config_path
    )
    fill(project, [trace(n, question(n)) for n in range(60, 70)])
    splits = diff(first, workflow.build(bare)).splits.values()
    assert sum(split.rewritten for split in splits) == 20 == sum(split.removed for split in splits)
    assert sum(split.added for split in splits) == 30


def test_wrong_answers_of_the_incumbent_are_not_learned_but_stay_held_out(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n), incumbent="no" if n % 2 else "Yes") for n in range(80)])
    dataset = workflow.build(project)
    taught = [*building.samples(dataset, "train"), *building.samples(dataset, "validation")]
    held = list(building.samples(dataset, "held_out"))
    assert {sample.incumbent for sample in taught} == {"Yes", None}
    assert {sample.incumbent for sample in held} == {"Yes", "no"}
    right = curate.read_card(dataset).incumbent_right
    assert (right["scored"], right["right"]) == (80, 40)
    assert right["not_learned"] == sum(sample.incumbent is None for sample in taught)


def test_the_card_says_whose_answers_are_learned_from(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n), gold=None) for n in range(60)])
    terms = " ".join(curate.read_card(workflow.build(project)).terms)
    assert "gpt-4o-2024-08-06" in terms and "ruling for" in terms


def test_check_keeps_nothing(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n)) for n in range(60)])
    card = workflow.check(project)
    assert (
        card.splits["train"].samples + card.splits["validation"].samples + card.splits["held_out"].samples
        == 60
    )
    assert not (project.state / "datasets").exists()
    assert any("same answer" in warning for warning in card.warnings)


def test_one_label_only_and_few_samples_are_warned_of(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n)) for n in range(20)])
    warnings = " ".join(curate.read_card(workflow.build(project)).warnings)
    assert "have the same answer" in warnings and "are few" in warnings and "prove little" in warnings


def test_three_samples_are_an_error_that_says_what_to_do(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n)) for n in range(2)])
    with pytest.raises(UsageError, match="split would be empty") as error:
        workflow.build(project)
    assert error.value.hint is not None


def test_questions_that_differ_in_little_are_told_which_setting_decides(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, f"where is order {n}") for n in range(40)])
    with pytest.raises(UsageError, match="split would be empty") as error:
        workflow.build(project)
    assert "[curate] near_duplicates" in error.value.hint


def test_training_on_the_test_set_is_noticed(tmp_path):
    project = project_of(tmp_path)
    held = [trace(n, question(n), metadata={"split": "held_out"}) for n in range(20)]
    same = [trace(100 + n, question(n) + " ", metadata={"split": "train"}) for n in range(20)]
    fill(project, held + same)
    with pytest.raises(UsageError, match="20 × train question also held out"):
        workflow.build(project)


def test_everything_off_changes_nothing_but_exact_repeats(tmp_path):
    project = project_of(
        tmp_path,
        TOML.replace('"patterns"', '"off"\nsecrets = false\nnear_duplicates = 0\nincumbent_min_score = 0'),
    )
    fill(
        project,
        [trace(n, f"{question(n // 2)} ada@example.com{'!' * (n % 2)}", incumbent="no") for n in range(80)],
    )
    dataset = workflow.build(project)
    assert sum(split.samples for split in dataset.splits) == 80
    assert "ada@example.com" in (Path(dataset.path) / "train.jsonl").read_text()


def test_a_build_that_was_cut_off_leaves_no_half_dataset(tmp_path, monkeypatch):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n)) for n in range(60)])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(Exception, match="No space left"):
        workflow.build(project)
    assert list((project.state / "datasets").iterdir()) == []
    monkeypatch.undo()
    assert workflow.build(project).split("held_out").samples > 0


def test_card_is_read_back_as_written(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n)) for n in range(60)])
    dataset = workflow.build(project)
    raw = json.loads((Path(dataset.path) / curate.CARD).read_text())
    assert json.loads(msgspec.json.encode(curate.read_card(dataset))) == raw
    assert (Path(dataset.path) / curate.CARD_PAGE).read_text().startswith("# Data card: shop")


def test_files_held_out_whole_leave_the_others_to_training():
    def share(data):
        return curate.recipe_of(project_of(Path(), TOML + f"[data]\n{data}")).held_out

    assert share("") == 0.2
    assert share('held_out_files = ["test.jsonl"]') == 0
    assert share('held_out_files = ["test.jsonl"]\nheld_out = 0.1') == 0.1
    assert share("held_out = 0") == 0


def test_a_held_out_part_of_two_kinds_is_pointed_out(tmp_path):
    def looked(share):
        project = project_of(tmp_path, TOML + f"[data]\nheld_out = {share}\n")
        return " ".join(workflow.check(project).warnings)

    kept = [trace(n, question(n), metadata={"split": "held_out"}) for n in range(60, 80)]
    fill(project_of(tmp_path), [trace(n, question(n)) for n in range(60)] + kept)
    assert "20 of " in looked(0.3) and "held_out = 0 leaves those to training" in looked(0.3)
    assert "files kept for evaluation" not in looked(0)
