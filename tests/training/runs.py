"""Training runs in this process, small jobs on the tiny model, and a LoRA trainer that is not zero."""

import hashlib
from pathlib import Path

import msgspec
import torch
from tests.training.conftest import task_samples, write_dataset

from freehold import training
from freehold.training import base as bases
from freehold.training import loop, methods
from freehold.training.methods import LoraTrainer
from freehold.training.worker import read_split
from freehold.types.config import FinetuneConfig

CONFIG = FinetuneConfig(r=4, batch_size=8, learning_rate=0.02, epochs=6)


class Run:
    """One training run in this process. `stop_at` ends it after so many steps, as a person or a kill would."""

    def __init__(self, job, folder, **changes):
        self.config = msgspec.structs.replace(CONFIG, **changes)
        self.job = msgspec.structs.replace(job, config=self.config)
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.events = []

    def go(self, stop_at=None, *, recompute=False):
        self.events = []
        self.trainer = methods.load(self.job.base, self.config)
        if recompute:
            self.trainer.recompute()
        tokenizer = self.trainer.base.tokenizer
        self.train = read_split(self.job, tokenizer, "train").samples
        validation = read_split(self.job, tokenizer, "validation").samples

        def should_stop():
            return stop_at is not None and sum(event.kind == "step" for event in self.events) >= stop_at

        return loop.train(
            self.trainer, self.train, validation, job="j", folder=self.folder, emit=self.events.append,
            peak_memory=lambda: None, should_stop=should_stop,
        )  # fmt: skip

    @property
    def weights(self):
        return hashlib.sha256(self.trainer.parameters.flat.detach().numpy().tobytes()).hexdigest()


JOB_CONFIG = FinetuneConfig(r=4, epochs=40, batch_size=8, learning_rate=0.03)


def make(tmp_path, tiny, *, samples=None, config=JOB_CONFIG, name="task"):
    dataset = write_dataset(tmp_path / "data", task_samples(24) if samples is None else samples)
    return training.make(
        config=config, dataset=dataset, base=tiny, out_dir=tmp_path / "out", name=name, threads=1
    )


def weights_of(job):
    return hashlib.sha256((Path(job.adapter_dir) / "adapter_model.safetensors").read_bytes()).hexdigest()


def trainer_for(tiny, **changes):
    config = FinetuneConfig(**{"r": 4, **changes})
    trainer = LoraTrainer(bases.load(tiny, config), config)
    torch.manual_seed(1)
    for name, parameter in trainer.model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1)
    return trainer
