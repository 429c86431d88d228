"""Small jobs on the tiny model."""

import hashlib
from pathlib import Path

from tests.training.conftest import task_samples, write_dataset

from freehold import training
from freehold.types.config import FinetuneConfig

CONFIG = FinetuneConfig(r=4, epochs=40, batch_size=8, learning_rate=0.03)


def make(tmp_path, tiny, *, samples=None, config=CONFIG, name="task"):
    dataset = write_dataset(tmp_path / "data", task_samples(24) if samples is None else samples)
    return training.make(
        config=config, dataset=dataset, base=tiny, out_dir=tmp_path / "out", name=name, threads=1
    )


def weights_of(job):
    return hashlib.sha256((Path(job.adapter_dir) / "adapter_model.safetensors").read_bytes()).hexdigest()
