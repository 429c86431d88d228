"""Banking77: train, serve, and ask all test messages. Prints one JSON object.

    python -m benchmarks.training.banking77 --data ../shared/data/banking77 --out /tmp/banking77

Answers come from the served adapter by generation (llama.cpp, greedy); an answer counts when it is the label,
letter for letter. `accuracy_of_the_trainers_model` is the same computed with PyTorch, by the weights that were
trained. The data are CC-BY-4.0 (Casanueva et al. 2020, arXiv:2003.04807) and are not copied here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import time
from pathlib import Path

import anyio
import msgspec

from benchmarks.training.samples import BASE, samples_of
from benchmarks.training.trained import exact_share
from freehold import __version__, settings, training
from freehold.engines import start
from freehold.evals.replay import ReplayOptions, replay
from freehold.progress import Silent
from freehold.stats.binary import wilson_limits
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Dataset, Split
from freehold.types.endpoint import AdapterMount
from freehold.types.evaluation import Task
from freehold.types.record import content_id
from freehold.workflows.serve import plan as serving
from freehold.workflows.serve.plan import ServeRequest
from freehold.workflows.train.train import train
from freehold.workflows.weights.pull import ensure_weights


def dataset_at(folder: Path, data: Path, size: int | None) -> Dataset:
    """All training messages, or `size` of them drawn with a fixed seed; the test file is held out whole."""
    train_samples = samples_of(data / "train.csv", "train")
    if size is not None:
        train_samples = random.Random(0).sample(train_samples, size)
    folder.mkdir(parents=True, exist_ok=True)
    splits = []
    for name, samples in (("train", train_samples), ("held_out", samples_of(data / "test.csv", "test"))):
        body = b"".join(msgspec.json.encode(sample) + b"\n" for sample in samples)
        (folder / f"{name}.jsonl").write_bytes(body)
        splits.append(
            Split(
                name="train" if name == "train" else "held_out",
                file=f"{name}.jsonl",
                samples=len(samples),
                groups=len(samples),
                sha256=hashlib.sha256(body).hexdigest(),
            )
        )
    return Dataset(
        id=content_id([split.sha256 for split in splits]),
        name="banking77",
        path=str(folder),
        splits=tuple(splits),
        recipe={},
        made_from=(str(data),),
        version=__version__,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int)
    parser.add_argument("--limit", type=int, help="Ask only so many test messages.")
    parser.add_argument("--epochs", type=float, default=FinetuneConfig().epochs)
    parser.add_argument("--batch-size", type=int, default=FinetuneConfig().batch_size)
    parser.add_argument("--learning-rate", type=float, default=FinetuneConfig().learning_rate)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rank", type=int, default=FinetuneConfig().r)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--not-served", action="store_true", help="Judge by the trainer's model only.")
    given = parser.parse_args()
    values = settings.load()
    base = ensure_weights(BASE, values)
    dataset = dataset_at(given.out / f"data-{given.size or 'all'}", given.data, given.size)
    config = FinetuneConfig(
        epochs=given.epochs,
        batch_size=given.batch_size,
        learning_rate=given.learning_rate,
        seed=given.seed,
        r=given.rank,
    )
    begin = time.monotonic()
    adapter = train(
        config=config,
        dataset=dataset,
        base=base,
        out_dir=given.out,
        name="banking77",
        settings=values,
        progress=Silent(),
    )
    wall = time.monotonic() - begin
    test = list(training.read_samples(dataset, "held_out"))[: given.limit]
    request = ServeRequest(engine="llamacpp", context_tokens=512, parallel=given.parallel)
    mount = AdapterMount(name="banking77", path=adapter.path, adapter_id=adapter.id)
    plan = serving.plan(base, request, values, adapters=[mount])

    async def ask() -> list[float | None]:
        async with start(plan, log_dir=given.out / "engine", name="banking77") as endpoint:
            task = Task(name="banking77", scorer="exact", max_tokens=24)
            results = await replay(endpoint, "banking77", test, task, options=ReplayOptions(given.parallel))
        return [result.score.value for result in results]

    trained = exact_share(adapter, base, test)
    begin = time.monotonic()
    scores = [None] * len(test) if given.not_served else anyio.run(ask)
    right = sum(score == 1.0 for score in scores)
    low, high = wilson_limits(right, len(scores))
    print(
        json.dumps(
            {
                "accuracy": None if given.not_served else right / len(scores),
                "interval_95": None if given.not_served else [low, high],
                "right": right,
                "items": len(scores),
                "unscored": sum(score is None for score in scores),
                "accuracy_of_the_trainers_model": trained,
                "train_samples": dataset.split("train").samples,
                "config": msgspec.to_builtins(adapter.config),
                "train_seconds": adapter.train_seconds,
                "wall_seconds_of_this_call": wall,
                "train_tokens": adapter.train_tokens,
                "tokens_per_second": adapter.train_tokens / adapter.train_seconds,
                "peak_memory_bytes": adapter.peak_memory_bytes,
                "final_loss": adapter.final_loss,
                "ask_seconds": time.monotonic() - begin,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
