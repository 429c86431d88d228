"""Training runs in this process, of every method."""

import hashlib

import msgspec

from freehold.training import base as bases
from freehold.training import loop
from freehold.training.methods import table
from freehold.types.config import FinetuneConfig

CONFIG = FinetuneConfig(
    r=4, batch_size=8, learning_rate=0.02, precision="fp32", checkpoint_steps=1000, epochs=6
)


class Run:
    """One training run in this process. `stop_at` ends it after so many steps, as a person or a kill would."""

    def __init__(self, job, changes, folder):
        self.config = msgspec.structs.replace(CONFIG, **changes)
        self.job = msgspec.structs.replace(job, config=self.config)
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.events = []

    def go(self, stop_at=None):
        self.events = []
        base = bases.load(self.job.base, table.load_config(self.config))
        self.train = table.read(self.job, base.tokenizer, "train").samples
        validation = table.read(self.job, base.tokenizer, "validation").samples
        self.trainer = table.make(base, self.config)

        def should_stop():
            return stop_at is not None and sum(event.kind == "step" for event in self.events) >= stop_at

        return loop.train(
            self.trainer, self.train, validation, job="j", folder=self.folder, emit=self.events.append,
            peak_memory=lambda: None, should_stop=should_stop,
        )  # fmt: skip

    @property
    def weights(self):
        return hashlib.sha256(self.trainer.parameters.flat.detach().numpy().tobytes()).hexdigest()
