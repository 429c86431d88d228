"""SNIPS to JSON: train, serve, and ask the 700 validation queries. Prints one JSON object.

    python -m benchmarks.training.snips --data ../shared/data/snips --out /tmp/snips

The answer is ``{"intent": …, "slots": {name: text}}`` (a list of texts where a slot occurs twice). Slots count
when all of them are there, letter for letter, and no other. The served side is asked twice: as it is, and with the
``response_format`` an application that reads JSON sends. Data: sonos/nlu-benchmark, CC0-1.0 (Coucke et al. 2018,
arXiv:1805.10190).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import msgspec

from benchmarks.training.samples import BASE
from freehold import __version__, settings, training
from freehold.engines import start
from freehold.evals.replay import ReplayOptions, replay
from freehold.progress import Silent
from freehold.stats.binary import wilson_limits
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Dataset, Message, Sample, Split, SplitName
from freehold.types.endpoint import AdapterMount
from freehold.types.evaluation import Task
from freehold.types.record import content_id
from freehold.workflows.serve import plan as serving
from freehold.workflows.serve.plan import ServeRequest
from freehold.workflows.train.train import train
from freehold.workflows.weights.pull import ensure_weights

FORM = {
    "type": "json_schema",
    "json_schema": {
        "name": "request",
        "schema": {
            "type": "object",
            "properties": {"intent": {"type": "string"}, "slots": {"type": "object"}},
            "required": ["intent", "slots"],
            "additionalProperties": False,
        },
    },
}
"""What an application that reads JSON asks for: the engine then writes nothing else."""
SYSTEM = "Give intent and slots of the request as JSON."


def samples_of(folder: Path, kind: str) -> Iterator[Sample]:
    """Samples of all intents; `kind` is ``train`` or ``validate``."""
    pattern = "train_*_full.json" if kind == "train" else "validate_*.json"
    for path in sorted(folder.glob(pattern)):
        raw = path.read_bytes()
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
        for intent, rows in json.loads(text).items():
            for number, row in enumerate(rows):
                slots: dict[str, Any] = {}
                for part in row["data"]:
                    if "entity" in part:
                        add(slots, part["entity"], part["text"].strip())
                yield Sample(
                    id=f"{kind}-{intent}-{number}",
                    messages=(
                        Message(role="system", content=SYSTEM),
                        Message(
                            role="user", content=" ".join("".join(p["text"] for p in row["data"]).split())
                        ),
                    ),
                    gold=json.dumps({"intent": intent, "slots": slots}, ensure_ascii=False),
                )


def add(slots: dict[str, Any], name: str, value: str) -> None:
    if name not in slots:
        slots[name] = value
    elif isinstance(slots[name], list):
        slots[name].append(value)
    else:
        slots[name] = [slots[name], value]


def dataset_at(folder: Path, data: Path, size: int | None) -> Dataset:
    """All training queries, or `size` of them drawn with a fixed seed; the 700 of validation are held out."""
    samples = list(samples_of(data, "train"))
    random.Random(0).shuffle(samples)
    parts: dict[SplitName, list[Sample]] = {
        "train": samples[:size],
        "held_out": list(samples_of(data, "validate")),
    }
    folder.mkdir(parents=True, exist_ok=True)
    splits = []
    for name, part in parts.items():
        body = b"".join(msgspec.json.encode(sample) + b"\n" for sample in part)
        (folder / f"{name}.jsonl").write_bytes(body)
        digest = hashlib.sha256(body).hexdigest()
        splits.append(
            Split(name=name, file=f"{name}.jsonl", samples=len(part), groups=len(part), sha256=digest)
        )
    return Dataset(
        id=content_id([split.sha256 for split in splits]),
        name="snips",
        path=str(folder),
        splits=tuple(splits),
        recipe={},
        made_from=(str(data),),
        version=__version__,
    )


NAMES = ("valid_json", "intent", "exact_slots")


def judge(gold: str, text: str | None) -> tuple[bool, bool, bool]:
    """Whether an answer is JSON, has the intent, and has exactly the slots."""
    wanted = json.loads(gold)
    try:
        found = json.loads(text or "")
    except ValueError:
        return False, False, False
    if not isinstance(found, dict):
        return True, False, False
    return True, found.get("intent") == wanted["intent"], found.get("slots") == wanted["slots"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=8)
    given = parser.parse_args()
    values = settings.load()
    base = ensure_weights(BASE, values)
    dataset = dataset_at(given.out / f"data-{given.size or 'all'}", given.data, given.size)
    config = FinetuneConfig(
        epochs=given.epochs,
        batch_size=given.batch_size,
        learning_rate=given.learning_rate,
        seed=given.seed,
    )
    adapter = train(
        config=config,
        dataset=dataset,
        base=base,
        out_dir=given.out,
        name="snips",
        settings=values,
        progress=Silent(),
    )
    test = list(training.read_samples(dataset, "held_out"))
    request = ServeRequest(engine="llamacpp", context_tokens=512, parallel=given.parallel)
    mount = AdapterMount(name="snips", path=adapter.path, adapter_id=adapter.id)
    plan = serving.plan(base, request, values, adapters=[mount])

    async def ask(samples: list[Sample]) -> list[str | None]:
        async with start(plan, log_dir=given.out / "engine", name="snips") as endpoint:
            task = Task(name="snips", scorer="exact", max_tokens=160)
            results = await replay(endpoint, "snips", samples, task, options=ReplayOptions(given.parallel))
        return [result.output for result in results]

    def asked(samples: list[Sample]) -> dict[str, Any]:
        begin = time.monotonic()
        answers = anyio.run(ask, samples)
        judged = [judge(sample.gold or "", answer) for sample, answer in zip(samples, answers, strict=True)]
        counts = zip(NAMES, (sum(column) for column in zip(*judged, strict=True)), strict=True)
        return {
            **{
                name: {"share": count / len(samples), "interval_95": wilson_limits(count, len(samples))}
                for name, count in counts
            },
            "not_json": [answer for (valid, *_), answer in zip(judged, answers, strict=True) if not valid],
            "seconds": time.monotonic() - begin,
        }

    print(
        json.dumps(
            {
                "items": len(test),
                "free": asked(test),
                "held_to_a_schema": asked(
                    [msgspec.structs.replace(one, response_format=FORM) for one in test]
                ),
                "train_samples": dataset.split("train").samples,
                "config": msgspec.to_builtins(config),
                "train_seconds": adapter.train_seconds,
                "train_tokens": adapter.train_tokens,
                "peak_memory_bytes": adapter.peak_memory_bytes,
                "final_loss": adapter.final_loss,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
