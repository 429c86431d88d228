from pathlib import Path

import pytest
from tests.workflows.data.building import TOML, fill, project_of, question, trace

from freehold.errors import StorageError
from freehold.types.config import parse
from freehold.workflows.data import dataset as workflow
from freehold.workflows.data.diff import diff
from freehold.workflows.project import Project


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


def test_changed_answers_and_another_recipe_are_shown(tmp_path):
    old, new = project_of(tmp_path / "a"), project_of(tmp_path / "b", TOML + "[data]\nseed = 7\n")
    for project, gold in ((old, "yes"), (new, "no")):
        (project.root).mkdir()
        fill(project, [trace(n, question(n), gold=gold, incumbent=gold) for n in range(60)])
    found = diff(workflow.build(old), workflow.build(new))
    assert found.recipe["seed"][1] == 7
    assert sum(found.moved.values()) > 0
    changed = sum(split.changed_gold for split in found.splits.values())
    same = sum(split.same for split in found.splits.values())
    assert changed == same > 0, "every sample that stayed has another right answer"
    assert all(len(split.first_changed) <= 5 for split in found.splits.values())


def test_a_split_that_cannot_be_read_is_an_error(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n)) for n in range(60)])
    dataset = workflow.build(project)
    (Path(dataset.path) / "train.jsonl").write_text("{")
    with pytest.raises(StorageError, match=r"train\.jsonl: cannot be read"):
        diff(dataset, dataset)
