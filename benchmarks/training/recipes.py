"""Recipes for Banking77 compared on a validation split of the training file. Prints one JSON object a recipe.

    python -m benchmarks.training.recipes --data ../shared/data/banking77 --size 3000 lora_alpha=64 epochs=3

Each argument ``key=value`` sets an option of `FinetuneConfig`. A thousand messages of the training file, drawn
with a fixed seed, are never trained on and judge the recipe; the test file is not opened. An answer counts
when every token of the label is the most likely one (what greedy decoding would write).
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import msgspec
import torch

from benchmarks.training.samples import BASE, samples_of
from freehold import settings
from freehold.training import base as bases
from freehold.training import defaults, formatting, schedule
from freehold.training.methods import lora
from freehold.training.worker import peak_memory
from freehold.types.config import FinetuneConfig
from freehold.workflows.weights.pull import ensure_weights

VALIDATION = 1000


def config_of(arguments: list[str]) -> FinetuneConfig:
    """Options from ``key=value`` words."""
    given: dict[str, Any] = {}
    for word in arguments:
        key, _, value = word.partition("=")
        try:
            given[key] = json.loads(value)
        except ValueError:
            given[key] = value
    return msgspec.convert(given, FinetuneConfig, strict=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", type=int, help="Train on so many messages only.")
    parser.add_argument("--split-seed", type=int, default=77)
    parser.add_argument("--each-epoch", action="store_true", help="Judge after every epoch.")
    parser.add_argument("options", nargs="*")
    given = parser.parse_args()
    config = config_of(given.options)
    torch.use_deterministic_algorithms(True, warn_only=True)
    weights = ensure_weights(BASE, settings.load())
    base = bases.load(weights, config)
    everything = samples_of(given.data / "train.csv", "train")
    random.Random(given.split_seed).shuffle(everything)
    encoded = formatting.format_samples(base.tokenizer, everything, max_tokens=config.max_tokens).samples
    validation = encoded[:VALIDATION]
    train = encoded[VALIDATION:][: given.size]
    config = defaults.resolved(config, weights, len(train))
    trainer = lora.LoraTrainer(base, config)
    steps = schedule.total_steps(len(train), config)
    each = schedule.steps_per_epoch(len(train), config.batch_size)
    begin, used, tokens, apart = time.monotonic(), time.process_time(), 0, 0.0
    losses: list[float] = []
    found: list[dict[str, float]] = []
    for step in range(steps):
        batch = [train[at] for at in schedule.batch_indices(step, len(train), config)]
        loss, seen = trainer.step(batch, schedule.learning_rate(step, steps, config))
        losses.append(loss)
        tokens += seen
        if step + 1 == steps or (given.each_epoch and (step + 1) % each == 0):
            pause = time.process_time()
            judged = trainer.evaluate(validation)
            apart += time.process_time() - pause
            found.append({"epoch": (step + 1) / each, "loss": judged.loss, "score": judged.score})
    seconds, cpu = time.monotonic() - begin, time.process_time() - used - apart
    print(
        json.dumps(
            {
                "options": given.options,
                "samples": len(train),
                "score": found[-1]["score"],
                "validation": found,
                "last_losses": sum(losses[-20:]) / len(losses[-20:]),
                "steps": steps,
                "tokens": tokens,
                "seconds": round(seconds, 1),
                "cpu_seconds": round(cpu, 1),
                "tokens_per_cpu_second": round(tokens / cpu, 1),
                "peak_memory_gib": round((peak_memory() or 0) / 2**30, 2),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
