"""Datasets as a project builds them from its traces."""

from pathlib import Path

import pytest
from tests.workflows.data.building import TOML, fill, project_of, question, trace

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.workflows.data import dataset as workflow
from freehold.workflows.data.curate import read_card
from freehold.workflows.prove.preflight import shift_findings


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
    assert workflow.teaches(trace(1, "hello", **{"gold": None} | changes)) == teaches


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
        assert raised.value.hint == f"known: shop {second.id[:12]}, shop {first.id[:12]}"
        with pytest.raises(UsageError, match="2 datasets have an id starting with"):
            workflow.find_dataset(store, "")


def test_questions_that_differ_in_little_are_told_which_setting_decides(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, f"where is my order {n}") for n in range(40)])
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


def test_labels_held_out_more_often_than_taught_are_told_in_the_card_and_before_the_look(tmp_path):
    def row(n, *, held):
        label = "oos" if n % (5 if held else 100) == 0 else f"i{n % 4}"
        return trace(n, question(n), gold=label, metadata={"split": "held_out" if held else "train"})

    project = project_of(tmp_path)
    fill(project, [row(n, held=n >= 400) for n in range(600)])
    dataset = workflow.build(project)
    card = read_card(dataset)
    (told,) = card.label_shifts
    assert told in card.warnings and ": oos 1.0% and 20.0%, " in told
    (found,) = shift_findings(dataset)
    assert (found.outcome, found.text) == ("warn", told)


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


def test_a_held_out_part_of_two_kinds_is_pointed_out(tmp_path):
    def looked(share):
        project = project_of(tmp_path, TOML + f"[data]\nheld_out = {share}\n")
        return " ".join(workflow.check(project).warnings)

    kept = [trace(n, question(n), metadata={"split": "held_out"}) for n in range(60, 80)]
    fill(project_of(tmp_path), [trace(n, question(n)) for n in range(60)] + kept)
    assert "20 of " in looked(0.3) and "held_out = 0 leaves those to training" in looked(0.3)
    assert "files kept for evaluation" not in looked(0)
