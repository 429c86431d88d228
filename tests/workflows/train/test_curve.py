"""A learning curve over accuracies that are known; the trainings themselves are stood in for."""

import itertools

import numpy as np
import pytest
from tests.workflows.prove.held_out import make_dataset

from freehold.datasets import building
from freehold.errors import UsageError
from freehold.progress import Silent
from freehold.store import open_store
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Message, Sample
from freehold.types.model import Weights
from freehold.types.training import Adapter, TrainingCurve
from freehold.workflows.project import open_project
from freehold.workflows.train import curve as curves
from freehold.workflows.train.curve import LearnedPoint, fit, foretell, sizes
from freehold.workflows.train.train import TrainingInputs

BASE = Weights(
    model_id="test/tiny", format="gguf", quantization="F16", bytes=1, sha256="b" * 64, source="file:x"
)


def truth(samples):
    return 0.95 - 4.0 * samples**-0.6


@pytest.fixture
def project(tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "inbox"\n')
    return open_project(tmp_path / "freehold.toml")


@pytest.fixture
def trained(monkeypatch):
    """Stands in for training; returns what each run was given."""
    made = []

    def train(*, config, dataset, base, out_dir, name, settings, progress):
        taught = [one.id for one in building.samples(dataset, "train")]
        validation = [one.id for one in building.samples(dataset, "validation")]
        made.append((taught, validation, config, out_dir))
        return Adapter(
            id=f"a{len(taught)}", name=name, path=str(out_dir / name), base_model=base.model_id,
            base_sha256=base.sha256, dataset_id=dataset.id, config=config, template_sha256="t", seed=0, steps=1,
            train_tokens=1, train_seconds=1.0, final_loss=0.1, peak_memory_bytes=None, files={}, versions={},
            made_from=(), metadata={"validation_score": truth(len(taught)), "validation_samples": len(validation)},
        )  # fmt: skip

    monkeypatch.setattr(curves, "train", train)
    return made


def inputs(tmp_path, *, train=800, validation=200):
    def samples(kind, count):
        return [
            Sample(id=f"{kind}{n:04}", messages=(Message(role="user", content=f"{kind} {n}"),), gold="yes")
            for n in range(count)
        ]

    made = make_dataset(
        tmp_path, samples("h", 20), train=samples("t", train), validation=samples("v", validation),
        incumbent_model=None,
    )  # fmt: skip
    return TrainingInputs(made, BASE, "inbox")


def test_nested_parts_are_trained_alike_and_twice_is_foretold(project, trained, tmp_path):
    found = curves.training_curve(project, inputs(tmp_path), config=FinetuneConfig(), progress=Silent())
    assert [len(taught) for taught, *_ in trained] == [100, 200, 400, 800]
    for (fewer, *_), (more, *_) in itertools.pairwise(trained):
        assert set(fewer) < set(more)
    assert len({tuple(validation) for _, validation, *_ in trained}) == 1
    assert len({config for _, _, config, _ in trained}) == 1
    assert trained[-1][3] == project.state / "adapters"
    assert found.fits and found.twice_samples == 1600
    assert found.twice_accuracy == pytest.approx(truth(1600), abs=0.02)
    assert found.twice_low < found.twice_accuracy < found.twice_high
    with open_store(project.store_url) as store:
        assert store.latest(TrainingCurve) == found
        assert store.latest(Adapter).id == "a800"


def test_the_same_seed_takes_the_same_parts(project, trained, tmp_path):
    for seed in (1, 1, 2):
        curves.training_curve(project, inputs(tmp_path), config=FinetuneConfig(seed=seed), progress=Silent())
    first, again, other = (trained[place][0] for place in (0, 4, 8))
    assert first == again != other


def test_a_limit_of_time_is_refused_since_it_cuts_the_larger_runs_only(project, trained, tmp_path):
    with pytest.raises(UsageError, match="max_minutes = 3 would cut the runs on many samples short"):
        curves.training_curve(
            project, inputs(tmp_path), config=FinetuneConfig(max_minutes=3), progress=Silent()
        )
    assert not trained


@pytest.mark.parametrize(("train", "validation"), [(40, 200), (800, 12)])
def test_splits_that_are_too_small_are_refused_before_anything_is_trained(
    project, trained, tmp_path, train, validation
):
    with pytest.raises(UsageError, match="a learning curve needs 64 training and 50 validation samples"):
        curves.training_curve(
            project, inputs(tmp_path, train=train, validation=validation), config=FinetuneConfig(),
            progress=Silent(),
        )  # fmt: skip
    assert not trained


def points(ceiling, scale, rate, sizes=(125, 250, 500, 1000), asked=100_000):
    return [LearnedPoint(n, round(asked * (ceiling - scale * n**-rate)), asked) for n in sizes]


@pytest.mark.parametrize(("ceiling", "scale", "rate"), [(0.95, 4.0, 0.6), (0.9, 2.0, 0.5), (1.0, 1.0, 0.3)])
def test_a_curve_is_found_again_and_foretells_twice_of_it(ceiling, scale, rate):
    given = points(ceiling, scale, rate)
    curve, twice = fit(given), foretell(given, 2000)
    assert curve.fits
    assert curve.rate == pytest.approx(rate, abs=0.03)
    assert twice.accuracy == pytest.approx(ceiling - scale * 2000**-rate, abs=0.004)
    assert twice.low <= twice.accuracy <= twice.high


def test_the_interval_holds_what_comes_in_nine_of_ten_draws_or_more():
    random, held, truth = np.random.default_rng(7), 0, 0.93 - 3.0 * 2000**-0.5
    for _ in range(60):
        drawn = [
            LearnedPoint(n, int(random.binomial(400, 0.93 - 3.0 * n**-0.5)), 400)
            for n in (125, 250, 500, 1000)
        ]
        twice = foretell(drawn, 2000)
        held += twice.low <= truth <= twice.high
    assert held >= 54


def test_fewer_validation_items_widen_it():
    few, many = (foretell(points(0.95, 4.0, 0.6, asked=asked), 2000) for asked in (100, 10_000))
    assert few.high - few.low > 2 * (many.high - many.low)


def test_a_curve_that_does_not_grow_is_flat():
    given = [LearnedPoint(n, 180, 200) for n in (100, 200, 400)]
    assert fit(given).accuracy(800) == pytest.approx(0.9)


def test_points_off_any_curve_are_told():
    given = [
        LearnedPoint(100, 900, 1000),
        LearnedPoint(200, 300, 1000),
        LearnedPoint(400, 900, 1000),
        LearnedPoint(800, 950, 1000),
    ]
    assert not fit(given).fits


def test_no_curve_through_two_numbers_or_impossible_counts():
    with pytest.raises(UsageError, match="needs 3 different numbers"):
        fit([LearnedPoint(100, 5, 10), LearnedPoint(200, 6, 10), LearnedPoint(200, 7, 10)])
    with pytest.raises(UsageError, match="11 of 10 right"):
        fit([LearnedPoint(100, 11, 10), LearnedPoint(200, 6, 10), LearnedPoint(300, 7, 10)])


@pytest.mark.parametrize(
    ("samples", "answers", "expected"),
    [
        (512, 7, (64, 128, 256, 512)),
        (512, 77, (128, 256, 512)),
        (512, 128, (128, 256, 512)),
        (512, 500, (64, 128, 256, 512)),
        (1024, 77, (128, 256, 512, 1024)),
    ],
)
def test_no_part_is_smaller_than_a_closed_set_of_labels(samples, answers, expected):
    assert sizes(samples, answers) == expected
