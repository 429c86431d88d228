"""Training steps here against TRL's `SFTTrainer` as commonly configured. Prints one JSON object.

    pip install trl datasets      # no extra of freehold brings them
    python -m benchmarks.training.trl_compare --data ../shared/data/banking77

Both sides train the same LoRA (r = 16, all linear layers) on the same messages of Banking77 with the same batch
size, rate and schedule, loss on the answer only. TRL runs in fp32, pads to the longest of the batch and does
not group by length, which is what its defaults do on a CPU. Each round runs one side after the other, each in a
process of its own, so that both meet the same machine; ratios are medians over the rounds. `loss` is that of
128 messages that were not trained on, after the last step, computed by each side's own model.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.training.samples import BASE, samples_of
from freehold import settings
from freehold.training import base as bases
from freehold.training import formatting, methods, schedule
from freehold.training.schedule import COSINE
from freehold.training.trainer import MAX_GRAD_NORM
from freehold.types.config import FinetuneConfig
from freehold.workflows.weights.made import to_safetensors
from freehold.workflows.weights.pull import ensure_weights

WARM_STEPS = 3
JUDGED = 128


def prepared(data: Path, config: FinetuneConfig, steps: int) -> tuple[list[Any], list[Any]]:
    """Samples to train on in the order they are used, and samples to judge by."""
    weights = ensure_weights(BASE, settings.load())
    samples = samples_of(data / "train.csv", "train")
    random.Random(7).shuffle(samples)
    count = steps * config.batch_size
    encoded = formatting.format_samples(
        bases.load_tokenizer(weights), samples[: count + JUDGED], max_tokens=config.max_tokens
    ).samples
    return encoded[JUDGED:], encoded[:JUDGED]


def here(data: Path, config: FinetuneConfig, steps: int) -> dict[str, Any]:
    """Our side."""
    train, judged = prepared(data, config, steps)
    trainer = methods.LoraTrainer(bases.load(ensure_weights(BASE, settings.load()), config), config)
    times = []
    for step in range(steps):
        batch = train[step * config.batch_size : (step + 1) * config.batch_size]
        begin = (time.monotonic(), time.process_time())
        trainer.step(batch, schedule.learning_rate(step, steps, config.learning_rate, COSINE))
        times.append((time.monotonic() - begin[0], time.process_time() - begin[1]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result(times, config, peak, trainer.evaluate(judged).loss)


def trl(data: Path, config: FinetuneConfig, steps: int) -> dict[str, Any]:
    """TRL's side."""
    import peft
    import transformers
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    import datasets

    train, judged = prepared(data, config, steps)
    values = settings.load()
    weights = ensure_weights(BASE, values)
    # TRL trains no GGUF: the same numbers as safetensors.
    folder_of_base = to_safetensors(weights, values).path
    model = AutoModelForCausalLM.from_pretrained(str(folder_of_base), dtype=torch.float32)
    rows = {
        "input_ids": [list(sample.ids) for sample in train],
        "completion_mask": [[int(wanted) for wanted in sample.mask] for sample in train],
    }

    class Clock(transformers.TrainerCallback):
        times: list[tuple[float, float]] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.begin = (time.monotonic(), time.process_time())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.times.append((time.monotonic() - self.begin[0], time.process_time() - self.begin[1]))

    class InOrder(SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    with tempfile.TemporaryDirectory() as folder:
        trainer = InOrder(
            model=model,
            args=SFTConfig(
                output_dir=folder,
                per_device_train_batch_size=config.batch_size,
                max_steps=steps,
                learning_rate=config.learning_rate,
                lr_scheduler_type="cosine",
                warmup_steps=-int(-COSINE.warmup * steps // 1),
                weight_decay=methods.LoraTrainer.weight_decay,
                max_grad_norm=MAX_GRAD_NORM,
                logging_strategy="no",
                save_strategy="no",
                report_to=[],
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                seed=config.seed,
                dataset_num_proc=None,
                completion_only_loss=True,
                max_length=config.max_tokens,
            ),
            train_dataset=datasets.Dataset.from_dict(rows),
            processing_class=bases.load_tokenizer(weights),
            peft_config=peft.LoraConfig(
                task_type="CAUSAL_LM",
                r=config.r,
                lora_alpha=methods.SCALE * config.r,
                target_modules="all-linear",
            ),
            callbacks=[Clock()],
        )
        trainer.train()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    loss, targets = 0.0, 0
    with torch.no_grad():
        for sample in judged:
            ids = torch.tensor([sample.ids])
            wanted = torch.tensor(sample.mask[1:])
            logits = trainer.model(input_ids=ids).logits[0, :-1][wanted]
            loss += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:][wanted], reduction="sum"))
            targets += int(wanted.sum())
    return result(Clock.times, config, peak, loss / targets)


def result(
    times: list[tuple[float, float]], config: FinetuneConfig, peak: int, loss: float
) -> dict[str, Any]:
    wall, cpu = (sum(column) for column in zip(*times[WARM_STEPS:], strict=True))
    count = (len(times) - WARM_STEPS) * config.batch_size
    return {
        "samples_per_second": count / wall,
        "samples_per_cpu_second": count / cpu,
        "peak_memory_bytes": peak,
        "loss": loss,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--side", choices=["here", "trl"], help="Run one side once (used by the rounds).")
    given = parser.parse_args()
    config = FinetuneConfig(batch_size=given.batch_size, learning_rate=1e-3, r=16)
    if given.side:
        print(json.dumps({"here": here, "trl": trl}[given.side](given.data, config, given.steps)))
        return
    found: dict[str, list[dict[str, Any]]] = {"here": [], "trl": []}
    for number in range(given.rounds):
        for side in sorted(found, reverse=number % 2 == 1):
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.training.trl_compare",
                    "--side",
                    side,
                    "--data",
                    given.data,
                    "--steps",
                    str(given.steps),
                    "--batch-size",
                    str(given.batch_size),
                ],
                stdout=subprocess.PIPE,
                env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "passive"},
                check=True,
            )
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
            print(number, side, found[side][-1], file=sys.stderr, flush=True)

    def median(side: str, key: str) -> float:
        return statistics.median(run[key] for run in found[side])

    keys = list(found["here"][0])
    print(
        json.dumps(
            {
                "batch_size": given.batch_size,
                "steps": given.steps,
                "rounds": given.rounds,
                "threads": torch.get_num_threads(),
                **{side: {key: median(side, key) for key in keys} for side in found},
                "ratio": {key: median("here", key) / median("trl", key) for key in keys},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
