"""The steps of methods that train, over a real store, a tiny GGUF and this machine; only training and parity are
stood in for."""

import dataclasses
import math
import shutil
from itertools import islice
from pathlib import Path

import pytest
from tests.workflows.journey.rehearsal import (
    Told,
    bench,
    candidate_of,
    quick_training,
    training_project,
)

from freehold.datasets import building
from freehold.errors import UsageError
from freehold.types.machine import Fit
from freehold.types.training import Adapter
from freehold.workflows.journey.methods import METHODS
from freehold.workflows.journey.methods import training as method
from freehold.workflows.project import open_project
from freehold.workflows.prove.parity import MOST_PROMPTS


def make(opened, *, progress=None):
    with bench(opened, progress=progress) as ready:
        return METHODS["lora"].make(candidate_of(opened, "lora"), ready)


def test_each_step_runs_once_and_is_kept(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    asked, first, again = quick_training(monkeypatch), Told(), Told()
    made = make(opened, progress=first)
    assert [note for _, note in first.steps] == [""] * 4
    assert make(opened, progress=again) == made
    assert [note for _, note in again.steps] == ["unchanged since the last run"] * 4
    assert (len(asked["train"]), len(asked["parity"])) == (1, 1)
    with bench(opened) as ready:
        assert (ready.store.latest(Fit), ready.store.latest(Adapter)) == (made.fit, made.trained)


@pytest.mark.parametrize(
    ("minutes", "given"), [(7.5, [7.5]), (5, [7.5]), (None, [7.5]), (math.inf, [7.5, 20])]
)
def test_the_time_that_is_left_shortens_it_and_what_had_as_much_stands(tmp_path, monkeypatch, minutes, given):
    opened = training_project(tmp_path, monkeypatch, train="max_minutes = 20\n")
    asked = quick_training(monkeypatch)
    real = method.train
    monkeypatch.setattr(method, "train", lambda **job: real(**{**job, "name": f"inbox{len(asked['train'])}"}))
    with bench(opened) as ready:
        for one in (7.5, minutes):
            METHODS["lora"].make(candidate_of(opened, "lora"), dataclasses.replace(ready, minutes=one))
    assert [one["config"].max_minutes for one in asked["train"]] == given


def test_it_learns_from_the_dataset_by_the_configuration(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch, train="r = 4\n")
    asked = quick_training(monkeypatch)
    made = make(opened)
    (given,) = asked["train"]
    assert (given["config"].r, given["name"], given["base"]) == (4, "inbox", made.weights)
    assert given["out_dir"] == opened.state / "adapters"
    (checked,) = asked["parity"]
    with bench(opened) as ready:
        assert given["dataset"] == ready.dataset
        held_out = list(islice(building.samples(ready.dataset, "held_out"), MOST_PROMPTS))
    assert checked["samples"] == held_out and len(held_out) >= 8
    assert (checked["plan"].port, checked["weights"]) == (0, made.weights)


def test_an_adapter_that_was_deleted_is_trained_again(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    asked = quick_training(monkeypatch)
    shutil.rmtree(make(opened).trained.path)
    make(opened)
    assert (len(asked["train"]), len(asked["parity"])) == (2, 1)


def test_parity_that_fails_is_told_and_does_not_stop_it(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    quick_training(monkeypatch, passed=False)
    told = Told()
    assert not make(opened, progress=told).parity.passed
    assert told.said[-1] == "the served model does not answer as the trained one: the prompts differ"


def test_an_option_the_engine_does_not_know_is_told_before_anything_is_fetched(tmp_path, monkeypatch):
    training_project(tmp_path, monkeypatch)
    path = tmp_path / "freehold.toml"
    path.write_text(path.read_text() + '[serve.options]\nflash_atention = "on"\n')
    told = Told()
    with pytest.raises(UsageError, match="unknown option flash_atention"):
        make(open_project(path), progress=told)
    assert told.steps == []


def test_the_base_and_its_adapter_answer_under_two_names(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    asked = quick_training(monkeypatch)
    candidate = candidate_of(opened, "lora")
    with bench(opened) as ready:
        made = METHODS["lora"].make(candidate, ready)
    (mount,) = made.plan.adapters
    assert (made.plan.engine, made.plan.model) == ("llamacpp", candidate.model)
    assert (mount.name, Path(mount.path).name) == (f"{candidate.model}:inbox", "adapter.gguf")
    assert (mount.adapter_id, mount.base_sha256) == (made.trained.id, made.weights.sha256)
    assert made.plan.weights_path == made.weights.path and made.fit.fits
    assert made.untrained_model == candidate.model, "the base is asked as well, to show what training brought"
    assert (made.parity.passed, asked["parity"][0]["adapter_path"]) == (True, made.trained.path)
