"""Whose tokenizer shows a dataset: the chosen candidate's, the last run's, the first that writes text. No fetch."""

import msgspec
import pytest
from tests.report import choosing
from tests.training.conftest import task_samples, tiny, tokenizer, write_dataset
from tests.workflows.data.building import project_of
from tests.workflows.train.test_adapters import manifest

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.config import FinetuneConfig
from freehold.workflows.train import token_masks

__all__ = ["tiny", "tokenizer"]  # fixtures
HEAD = '[app]\nname = "shop"\n'
ENCODER = '[[candidates]]\nmodel = "org/encoder"\nmethod = "encoder"\n'
WRITER = '[[candidates]]\nmodel = "org/writer"\nmethod = "qlora"\ntrain = { max_tokens = 77 }\n'


def base_of(project, **named):
    with open_store(project.store_url) as store:
        return token_masks.mask_base(project, store, **named)


def test_the_first_candidate_that_writes_text_with_its_own_options(tmp_path):
    base = base_of(project_of(tmp_path, HEAD + ENCODER + WRITER))
    assert (base.model, base.because, base.config.method, base.config.max_tokens) == (
        "org/writer",
        "first",
        "qlora",
        77,
    )


@pytest.mark.parametrize("toml", [ENCODER, '[[endpoints]]\nname = "far"\nbase_url = "http://127.0.0.1:1"\n' + ENCODER +
                                  '[[candidates]]\nmodel = "big"\nendpoint = "far"\n'])  # fmt: skip
def test_encoders_and_models_elsewhere_have_no_tokens(tmp_path, toml):
    project = project_of(tmp_path, HEAD + toml)
    assert base_of(project) is None
    assert base_of(project, model="org/other")[::2] == ("org/other", "named")
    dataset = write_dataset(tmp_path / "data", task_samples(2))
    with pytest.raises(UsageError, match="writes text") as told:
        token_masks.dataset_masks(project, dataset, split="train", count=1)
    assert "--model" in told.value.hint


def test_the_last_run_goes_before_the_first_candidate_and_the_chosen_one_before_both(tmp_path):
    project = project_of(tmp_path, HEAD + WRITER)
    run = manifest(tmp_path / "run", base_model="org/ran", config=FinetuneConfig(train_on="all"))
    with open_store(project.store_url) as store:
        store.put(run)
    assert base_of(project)[::2] == ("org/ran", "trained") and base_of(project).config.train_on == "all"
    report = choosing.report()
    label = report.choice.chosen
    with_run = tuple(
        msgspec.structs.replace(one, trained=msgspec.structs.replace(run, base_model="org/chosen"))
        if one.label == label
        else one
        for one in report.candidates
    )
    with open_store(project.store_url) as store:
        store.put(msgspec.structs.replace(report, candidates=with_run))
    assert base_of(project)[::2] == ("org/chosen", "chosen")


def test_weights_that_are_not_here_are_named_with_the_command_and_nothing_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "freehold.engines.weights.hub.download", lambda *_, **__: pytest.fail("fetched"), raising=False
    )
    project = project_of(tmp_path, HEAD + WRITER)
    dataset = write_dataset(tmp_path / "data", task_samples(2))
    with pytest.raises(UsageError, match="tokenizer of org/writer is not here") as told:
        token_masks.dataset_masks(project, dataset, split="train", count=1)
    assert told.value.hint == "freehold pull org/writer"


def test_a_command_and_a_screen_have_the_same_tokens(tmp_path, tiny):
    project = project_of(tmp_path, HEAD)
    samples = task_samples(3)
    dataset = write_dataset(tmp_path / "data", samples)
    found = token_masks.dataset_masks(project, dataset, split="train", count=2, model=tiny.source)
    assert [one.id for one in found.masked.samples] == ["s0", "s1"] and found.because == "named"
    base = base_of(project, model=tiny.source)
    try:
        assert token_masks.masks_here(project, base, dataset, samples[:2]) == found
    finally:
        token_masks._caller.close()
