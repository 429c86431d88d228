"""Encoders: train by freehold's own choice, answer the test part from the files alone, and count.

    python -m benchmarks.methods.encoders --data ../shared/data --out /tmp/e all ten ten+ five five+ 500 2000 snips

Each case is a line of JSON, and all together a table. `ten` and `five` are messages a class, three draws each; with
``+`` the other training messages are unlabelled traffic. Seconds are of the whole training command (its CPU-seconds
too, child process included), of the frozen result alone, and of answering the test part. Data: Banking77 (CC-BY-4.0)
and SNIPS (CC0), not copied here.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import resource
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from freehold import __version__
from freehold.progress import Silent
from freehold.settings import Settings, load
from freehold.types.dataset import Dataset, Message, Sample, Split, SplitName
from freehold.types.encoder import EncoderConfig, EncoderManifest
from freehold.types.record import content_id
from freehold.workflows.train.encoder import ENGLISH_BASE, train_encoder
from freehold.workflows.weights.pull import ensure_weights

DRAWS = 3
BATCH = 64


class Case(NamedTuple):
    """Labelled messages, unlabelled ones, and what is asked."""

    train: list[tuple[str, str]]
    unlabelled: list[str]
    test: list[tuple[str, str]]


def banking(data: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Training and test messages with their labels."""
    parts = []
    for name in ("train", "test"):
        with (data / "banking77" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            parts.append([(row["text"], row["category"]) for row in csv.DictReader(file)])
    return parts[0], parts[1]


def snips(data: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Messages and intents: the full training files, and the validation files as the test part."""
    parts: list[list[tuple[str, str]]] = []
    for pattern in ("train_*_full.json", "validate_*.json"):
        rows = []
        for path in sorted((data / "snips").glob(pattern)):
            raw = path.read_bytes().decode("utf-8", "replace")
            for intent, messages in json.loads(raw).items():
                rows += [
                    ("".join(piece["text"] for piece in one["data"]).strip(), intent) for one in messages
                ]
        parts.append(rows)
    return parts[0], parts[1]


def cases(name: str, data: Path, draws: int) -> Iterator[Case]:
    """The draws of a case."""
    train, test = snips(data) if name == "snips" else banking(data)
    plain = name.removesuffix("+")
    if plain in ("all", "snips"):
        yield Case(train, [], test)
        return
    for draw in range(draws):
        rng = random.Random(draw)
        shuffled = rng.sample(train, len(train))
        if plain.isdigit():
            chosen = shuffled[: int(plain)]
        else:
            each = {"ten": 10, "five": 5}[plain]
            taken: dict[str, int] = {}
            chosen = []
            for text, label in shuffled:
                if taken.get(label, 0) < each:
                    taken[label] = taken.get(label, 0) + 1
                    chosen.append((text, label))
        kept = {text for text, _ in chosen}
        yield Case(
            chosen, [text for text, _ in train if text not in kept] if name.endswith("+") else [], test
        )


def dataset_of(folder: Path, parts: Mapping[SplitName, Sequence[tuple[tuple[Message, ...], str]]]) -> Dataset:
    """A dataset of conversations and their right answers, by split."""
    folder.mkdir(parents=True, exist_ok=True)
    splits = []
    for name, rows in parts.items():
        samples = [
            Sample(id=f"{name}{at}", messages=messages, gold=label)
            for at, (messages, label) in enumerate(rows)
        ]
        body = b"".join(msgspec.json.encode(sample) + b"\n" for sample in samples)
        (folder / f"{name}.jsonl").write_bytes(body)
        digest = hashlib.sha256(body).hexdigest()
        splits.append(
            Split(name=name, file=f"{name}.jsonl", samples=len(rows), groups=len(rows), sha256=digest)
        )
    return Dataset(
        id=content_id([split.sha256 for split in splits]),
        name=folder.name,
        path=str(folder),
        splits=tuple(splits),
        recipe={},
        made_from=(),
        version=__version__,
    )


def answers(folder: Path, texts: Sequence[str], threads: int) -> list[str]:
    """What the folder answers, by its files alone and ONNX Runtime."""
    import onnxruntime
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    manifest = msgspec.json.decode((folder / "encoder.json").read_bytes(), type=EncoderManifest)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(manifest.max_tokens)
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    heads = load_file(folder / "heads.safetensors")
    given = [""] * len(texts)
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        rows = tokenizer.encode_batch([manifest.prefix + texts[at] for at in places])
        feed = {
            "input_ids": np.array([row.ids for row in rows]),
            "attention_mask": np.array([row.attention_mask for row in rows]),
        }
        embedding = np.asarray(session.run(["embedding"], feed)[0])
        if manifest.normalize:
            embedding = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
        best = (embedding @ heads["0.weight"].T + heads["0.bias"]).argmax(axis=1)
        for at, label in zip(places, best, strict=True):
            given[at] = str(manifest.fields[0].labels[label])
    return given


def cpu_seconds() -> float:
    """Of this process and its ended children."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def measure(
    name: str, draw: int, case: Case, out: Path, settings: Settings, config: EncoderConfig
) -> dict[str, Any]:
    """One training, and its answers to the test part."""
    base = ensure_weights(ENGLISH_BASE, settings)
    place = out / f"{name}-{draw}-{config.stage}"
    # Without a validation split: every labelled message is taught.
    dataset = dataset_of(
        place / "data",
        {
            part: [((Message(role="user", content=text),), label) for text, label in rows]
            for part, rows in (("train", case.train), ("validation", []), ("held_out", case.test))
        },
    )
    load_before = os.getloadavg()[0]
    began, cpu = time.monotonic(), cpu_seconds()
    made = train_encoder(
        config=config,
        dataset=dataset,
        base=base,
        out_dir=place,
        name="encoder",
        settings=settings,
        progress=Silent(),
        unlabelled=case.unlabelled,
    )
    seconds, used = time.monotonic() - began, cpu_seconds() - cpu
    began, cpu = time.monotonic(), cpu_seconds()
    given = answers(Path(made.path), [text for text, _ in case.test], settings.threads or 2)
    asked = time.monotonic() - began
    right = sum(one == label for one, (_, label) in zip(given, case.test, strict=True))
    return {
        "case": name,
        "draw": draw,
        "samples": len(case.train),
        "unlabelled": len(case.unlabelled),
        "stage": made.stage,
        "right": right,
        "asked": len(case.test),
        "share": right / len(case.test),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used, 1),
        "frozen_seconds": round(next(one.seconds for one in made.stages if one.stage == "frozen"), 1),
        "answer_seconds": round(asked, 1),
        "answer_cpu_seconds": round(cpu_seconds() - cpu, 1),
        "peak_memory_mib": None if made.peak_memory_bytes is None else made.peak_memory_bytes >> 20,
        "load_before": round(load_before, 1),
        "load_after": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Run the cases named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--stage", choices=("auto", "frozen", "contrastive", "tuned"), default="auto")
    parser.add_argument("cases", nargs="+")
    given = parser.parse_args()
    settings = msgspec.structs.replace(load(), threads=given.threads)
    config = EncoderConfig(stage=given.stage)
    lines = []
    for name in given.cases:
        found = []
        for draw, case in enumerate(cases(name, given.data, given.draws)):
            found.append(measure(name, draw, case, given.out, settings, config))
            print(json.dumps(found[-1]), flush=True)
        shares = [one["share"] for one in found]
        spread = "" if len(shares) < 2 else f" ({', '.join(f'{one:.1%}' for one in shares)})"
        median = {key: statistics.median(one[key] for one in found) for key in ("seconds", "cpu_seconds")}
        lines.append(
            f"| {name} | {found[0]['samples']:,} | {statistics.mean(shares):.2%}{spread} | {found[0]['stage']} | "
            f"{median['seconds']:.0f} s | {median['cpu_seconds']:.0f} s | {found[0]['load_before']} |"
        )
    print("| case | samples | right | stage | wall | CPU | load |\n|---|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
