import msgspec
import pytest
import torch
from tests.training.conftest import task_samples, write_dataset

from freehold import training
from freehold.training import base as bases
from freehold.training import loop, loss_history
from freehold.training.formatting import Encoded
from freehold.training.loss_history import LossHistory
from freehold.training.methods import table
from freehold.types.config import FinetuneConfig
from freehold.types.training import Learned

SAMPLES = [Encoded(f"s{n}", (1, 2, 3), (False, True, True)) for n in range(3)]


def test_what_stays_unlikely_after_the_first_pass_comes_first():
    seen = LossHistory(SAMPLES)
    seen.record([0, 1, 2], {"s0": 9.0, "s1": 5.0, "s2": 7.0}, first=True)
    seen.record([0, 1], {"s0": 0.1, "s1": 4.0}, first=False)
    seen.record([1], {"s1": 2.0}, first=False)
    found = seen.learned()
    assert [(one.sample_id, one.loss, one.looks) for one in found] == [
        ("s2", 7.0, 0), ("s1", 3.0, 2), ("s0", pytest.approx(0.1), 1),
    ]  # fmt: skip
    assert found[0].tokens == 2


def test_notes_survive_a_checkpoint_and_another_jobs_do_not():
    seen, again, other = LossHistory(SAMPLES), LossHistory(SAMPLES), LossHistory(SAMPLES[:2])
    seen.record([0], {"s0": 1.0}, first=False)
    again.restore(seen.tensors())
    other.restore(seen.tensors())
    again.record([0], {"s0": 3.0}, first=False)
    assert [(one.loss, one.looks) for one in again.learned()] == [(2.0, 2)]
    assert other.learned() == []


def test_notes_are_read_back_and_a_broken_file_is_none(tmp_path):
    found = [Learned(sample_id="a", loss=1.5, tokens=3, looks=2)]
    loss_history.write(tmp_path, found)
    assert loss_history.read(tmp_path) == found
    (tmp_path / loss_history.FILE).write_text("{")
    assert loss_history.read(tmp_path) is None
    loss_history.write(tmp_path / "gone", found)  # A disk that takes nothing costs the notes, not the run.


@pytest.mark.timeout(600)
@pytest.mark.parametrize("changes", [{}, {"use_dora": True}, {"method": "full", "learning_rate": 0.005}])
def test_wrong_labels_are_among_the_doubted(tmp_path, tiny, changes):
    samples = task_samples(60)
    wrong = {samples[number].id for number in (7, 23, 36)}
    labels = sorted({sample.gold for sample in samples})
    spoilt = [
        msgspec.structs.replace(sample, gold=labels[labels.index(sample.gold) - 1]) if sample.id in wrong else sample
        for sample in samples
    ]  # fmt: skip
    config = FinetuneConfig(
        **{
            "r": 4,
            "lora_alpha": 16,
            "batch_size": 8,
            "learning_rate": 0.01,
            "precision": "fp32",
            "epochs": 10,
        }
        | changes
    )
    job = training.make(
        config=config, dataset=write_dataset(tmp_path / "d", spoilt), base=tiny, out_dir=tmp_path, name="x"
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        base = bases.load(job.base, table.load_config(config))
        approach = table.find(config.method)
        outcome = loop.train(
            approach.make(base, config), approach.read(job, base.tokenizer, "train").samples, [], job="j",
            folder=tmp_path, emit=lambda event: None, peak_memory=lambda: None, should_stop=lambda: False,
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    assert len(outcome.learned) == 60
    assert {one.sample_id for one in outcome.learned[:3]} == wrong
