"""Successive halving over a loss surface that is known; the trainings themselves are stood in for."""

import msgspec
import pytest
from click.testing import CliRunner

from freehold.cli.train.train import print_search
from freehold.errors import TrainingError, UsageError
from freehold.store import open_store
from freehold.training.output.artefacts import sha256_of
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Dataset, Split
from freehold.types.model import Weights
from freehold.types.progress import Silent
from freehold.types.training import Adapter, Search
from freehold.workflows.train import search as searching

CONFIG = FinetuneConfig(r=16, lora_alpha=32, learning_rate=1e-3, epochs=4.0, batch_size=8)
BASE = Weights(
    model_id="test/tiny", format="gguf", quantization="F16", bytes=1, sha256="b" * 64, source="file:x"
)


def dataset(validation=40):
    splits = tuple(
        Split(name=name, file=f"{name}.jsonl", samples=count, groups=count, sha256=name)
        for name, count in (("train", 400), ("validation", validation), ("held_out", 100))
    )
    return Dataset(id="d1", name="d", path="/nowhere", splits=splits, recipe={}, made_from=(), version="t")


class Trained:
    """Stands in for training: right answers grow with epochs up to 4, best at rank 32 and rate 4e-4; a rate of 2e-3
    breaks at rank 64. Leaves what a training leaves."""

    def __init__(self, fail=()):
        self.made, self.fail = [], fail

    def __call__(self, *, config, dataset, base, out_dir, name, settings, progress):
        from freehold import training

        job = training.make(config=config, dataset=dataset, base=base, out_dir=out_dir, name=name)
        done = training.finished_adapter(job)
        if done is not None:
            return done
        self.made.append(config)
        if config.learning_rate in self.fail or "all" in self.fail:
            raise TrainingError("loss is nan, gradient norm is nan: not a number; batch: samples s1")
        score = min(config.epochs, 4) / 10 + (config.r == 32) * 0.2 + (config.learning_rate == 4e-4) * 0.2
        folder = out_dir / f"{name}-{job.id[:8]}"
        folder.mkdir(parents=True)
        (folder / "adapter.gguf").write_bytes(f"{config}".encode())
        adapter = Adapter(
            id=job.id, name=name, path=str(folder), base_model=base.model_id, base_sha256=base.sha256,
            dataset_id=dataset.id, config=job.config, template_sha256="t", seed=0, steps=10, train_tokens=1,
            train_seconds=1.0, final_loss=1.0, peak_memory_bytes=None,
            files={"adapter.gguf": sha256_of(folder / "adapter.gguf")}, versions={}, made_from=(),
            metadata={"job": job.id, "validation_loss": 2 - score, "validation_score": score},
        )  # fmt: skip
        (folder / "adapter.json").write_bytes(msgspec.json.encode(adapter))
        return adapter


@pytest.fixture
def project(tmp_path, monkeypatch):
    from freehold.workflows.project import open_project

    (tmp_path / "freehold.toml").write_text('[app]\nname = "inbox"\n')
    monkeypatch.chdir(tmp_path)
    return open_project()


def go(project, monkeypatch, trained, **changes):
    monkeypatch.setattr(searching, "train", trained)
    options = {"config": CONFIG, "dataset": dataset(), "base": BASE, "name": "inbox", "progress": Silent()}
    return searching.search(project, **{**options, **changes})


def test_the_best_half_goes_on_and_everything_is_kept(project, monkeypatch):
    trained = Trained()
    found = go(project, monkeypatch, trained)
    by_rung = [sum(trial.rung == rung for trial in found.search.trials) for rung in range(4)]
    assert by_rung == [8, 4, 2, 1]
    assert [trial.epochs for trial in found.search.trials] == [1.0] * 8 + [2.0] * 4 + [4.0] * 2 + [8.0]
    best = found.search.trials[found.search.best]
    assert (best.r, best.learning_rate, best.epochs) == (32, 4e-4, 4.0)  # longer was no better
    assert found.adapter.name == "inbox"
    assert found.adapter.config.r == 32
    assert found.adapter.path.startswith(str(project.state / "adapters"))
    assert found.search.complete
    with open_store(project.store_url) as store:
        assert store.latest(Search) == found.search
    result = CliRunner().invoke(__import__("click").command()(lambda: print_search(found.search)))
    assert result.output.count("\n") == 16
    assert "best" in result.output


def test_a_stopped_search_goes_on_where_it_was(project, monkeypatch):
    class Stopped(Trained):
        def __call__(self, **options):
            if len(self.made) == 5:
                raise KeyboardInterrupt
            return super().__call__(**options)

    first = Stopped()
    with pytest.raises(KeyboardInterrupt):
        go(project, monkeypatch, first)
    second = Trained()
    found = go(project, monkeypatch, second)
    assert len(second.made) == 15 - 5
    again = Trained()
    assert go(project, monkeypatch, again).search == found.search
    assert again.made == []


def test_a_trial_that_breaks_is_a_row_and_the_search_goes_on(project, monkeypatch):
    found = go(project, monkeypatch, Trained(fail=(1e-3,)))
    failed = [trial for trial in found.search.trials if trial.failed]
    assert failed
    assert all(trial.learning_rate == 1e-3 and trial.rung == 0 for trial in failed)
    assert found.search.trials[found.search.best].learning_rate == 4e-4
    with pytest.raises(TrainingError, match="no trial could be trained"):
        go(project, monkeypatch, Trained(fail=("all",)), config=msgspec.structs.replace(CONFIG, seed=9))


def test_time_that_is_over_starts_no_further_trial(project, monkeypatch):
    found = go(project, monkeypatch, Trained(), config=msgspec.structs.replace(CONFIG, max_minutes=0.0))
    assert len(found.search.trials) == 1
    assert not found.search.complete


def test_a_search_needs_something_to_judge_by(project, monkeypatch):
    with pytest.raises(UsageError, match="validation split has 3 samples"):
        go(project, monkeypatch, Trained(), dataset=dataset(validation=3))


def test_the_given_options_are_the_first_trial_and_alpha_keeps_step():
    made = searching.grid_around(CONFIG, 12)
    assert made[0] == CONFIG
    assert len({(one.r, one.learning_rate) for one in made}) == 12
    assert all(one.lora_alpha == 2 * one.r for one in made)
    assert searching.halving(8, 4.0) == [(8, 1.0), (4, 2.0), (2, 4.0)]
