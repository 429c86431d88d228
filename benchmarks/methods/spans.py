"""Values copied from a message into JSON: freehold's encoder next to a notebook of thirty lines, on the same messages.

    python -m benchmarks.methods.spans --restaurant8k DIR --snips DIR --out /tmp/spans [--part test] restaurant snips

`restaurant`: five fields, all copied, null where the guest named none; what the assistant asked for is a line of the
system prompt. `snips`: the intent, which is from a closed set, and the slots of three intents. An answer counts where
all of its fields are right, letter for letter. Part ``dev`` is cut from the training files and was looked at while
the method was made; ``test`` is the data's own test part. Data: PolyAI task-specific-datasets (CC-BY-4.0; Coope et al.
2020, Span-ConveRT) and SNIPS (CC0), not copied here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from benchmarks.methods.encoders import cpu_seconds
from freehold import __version__
from freehold.encoders.answers import answer
from freehold.encoders.folder import read_manifest
from freehold.encoders.runner import EncodedText, load_runner
from freehold.progress import Silent
from freehold.settings import load
from freehold.training.encoder.heads import calibration_error
from freehold.types.dataset import Dataset, Message, Sample, Split, SplitName
from freehold.types.encoder import EncoderConfig
from freehold.types.record import content_id
from freehold.workflows.train.encoder import ENGLISH_BASE, train_encoder
from freehold.workflows.weights.pull import ensure_weights

TRAIN, HELD_OUT, SEED = 3000, 600, 0
INTENTS = ("BookRestaurant", "GetWeather", "RateBook")


class Request(NamedTuple):
    """A message, what had been asked for, and the answer."""

    text: str
    asked: str
    answer: dict[str, str | None]


def restaurant(folder: Path, pattern: str) -> list[Request]:
    """Messages of restaurant8k, each once for what had been asked."""
    fields = ("people", "date", "time", "first_name", "last_name")
    found = {}
    for path in sorted(folder.glob(pattern)):
        for row in json.loads(path.read_text("utf-8")):
            text = row["userInput"]["text"]
            asked = " ".join(sorted(set(row.get("context", {}).get("requestedSlots", []))))
            answer: dict[str, str | None] = dict.fromkeys(fields)
            for label in row.get("labels", []):
                span = label["valueSpan"]
                answer[label["slot"]] = text[span.get("startIndex", 0) : span["endIndex"]]
            found[text, asked] = Request(text, asked, answer)
    return list(found.values())


def snips(folder: Path, pattern: str) -> list[Request]:
    """Messages of three intents; those in which a slot occurs twice are left out."""
    rows = []
    for intent in INTENTS:
        for path in folder.glob(pattern.format(intent)):
            for message in json.loads(path.read_bytes().decode("utf-8", "replace"))[intent]:
                slots = [(one["entity"], one["text"].strip()) for one in message["data"] if "entity" in one]
                if len(dict(slots)) == len(slots):
                    text = "".join(one["text"] for one in message["data"]).strip()
                    rows.append((text, {"intent": intent, **dict(slots)}))
    names = list(dict.fromkeys(name for _, answer in rows for name in answer))
    return [Request(text, "", {name: answer.get(name) for name in names}) for text, answer in rows]


def parts(name: str, folder: Path, part: str) -> tuple[list[Request], list[Request]]:
    """Training messages and those to answer, none of which is a training message."""
    read, files = (restaurant, ("train_*.json", "test.json")) if name == "restaurant" else (
        snips, ("train_{}_full.json", "validate_{}.json"))  # fmt: skip
    rows = read(folder, files[0])
    random.Random(SEED).shuffle(rows)
    train = rows[:TRAIN]
    held = rows[TRAIN : TRAIN + HELD_OUT] if part == "dev" else read(folder, files[1])
    known, fields = {(one.text, one.asked) for one in train}, list(train[0].answer)
    return train, [
        one._replace(answer={name: one.answer.get(name) for name in fields})
        for one in held
        if (one.text, one.asked) not in known
    ]


def notebook(train: Sequence[Request], held: Sequence[Request]) -> Iterator[dict[str, Any]]:
    """The thirty lines: logistic regression over the words around a word, and over the words of the message."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    names = list(train[0].answer)
    closed = [name for name in names if not any(str(one.answer[name]) in one.text for one in train)]

    def words(one: Request) -> list[tuple[str, int, int]]:
        return [(match.group(), *match.span()) for match in re.finditer(r"\w+|[^\w\s]", one.text)]

    def features(one: Request) -> list[dict[str, Any]]:
        tokens = [word for word, _, _ in words(one)]
        rows = []
        for at in range(len(tokens)):
            row: dict[str, Any] = {f"asked={one.asked}": 1, "place": min(at, 3)}
            for off in range(-3, 4):
                word = tokens[at + off] if 0 <= at + off < len(tokens) else "-"
                shape = re.sub("[A-Z]", "X", re.sub("[a-z]", "x", re.sub(r"\d", "0", word)))[:5]
                row |= {f"{off}w{word.lower()}": 1, f"{off}s{shape}": 1, f"{off}e{word[-3:].lower()}": 1}
            rows.append(row)
        return rows

    def tags(one: Request) -> list[str]:
        made = ["O"] * len(words(one))
        for name in names:
            if name not in closed and (value := one.answer[name]) and (start := one.text.find(value)) >= 0:
                inside = [
                    at for at, (_, a, b) in enumerate(words(one)) if a < start + len(value) and b > start
                ]
                for at in inside:
                    made[at] = ("B-" if at == inside[0] else "I-") + name
        return made

    tagger = make_pipeline(DictVectorizer(), LogisticRegression(C=10, max_iter=300))
    tagger.fit([row for one in train for row in features(one)], [tag for one in train for tag in tags(one)])
    texts = [one.text for one in train]
    wholes = {
        name: make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=10)).fit(
            texts, [str(one.answer[name]) for one in train]
        )
        for name in closed
    }
    for one in held:
        answer: dict[str, Any] = {name: str(wholes[name].predict([one.text])[0]) for name in closed}
        got = tagger.predict(features(one)) if words(one) else []
        spans: dict[str, tuple[int, int]] = {}
        for tag, (_, start, end) in zip(got, words(one), strict=True):
            if tag != "O":
                first = spans.get(tag[2:], (start, end))[0]
                spans[tag[2:]] = (first, end) if tag[0] == "I" or tag[2:] not in spans else spans[tag[2:]]
        yield dict.fromkeys(names) | answer | {k: one.text[a:b] for k, (a, b) in spans.items()}


def messages_of(one: Request) -> tuple[Message, ...]:
    """What an application would send: what was asked for stands in its system prompt."""
    system = (Message(role="system", content=f"asked for: {one.asked}"),) if one.asked else ()
    return (*system, Message(role="user", content=one.text))


def dataset_of(folder: Path, train: Sequence[Request]) -> Dataset:
    """The same messages as a dataset, a tenth of them to validate by."""
    folder.mkdir(parents=True, exist_ok=True)
    tenth = len(train) // 10
    parts: dict[SplitName, Sequence[Request]] = {
        "train": train[tenth:],
        "validation": train[:tenth],
        "held_out": [],
    }
    splits = []
    for name, rows in parts.items():
        body = b"".join(
            msgspec.json.encode(
                Sample(id=f"{name}{at}", messages=messages_of(one), gold=json.dumps(one.answer))
            )
            + b"\n"
            for at, one in enumerate(rows)
        )
        (folder / f"{name}.jsonl").write_bytes(body)
        digest = hashlib.sha256(body).hexdigest()
        splits.append(
            Split(name=name, file=f"{name}.jsonl", samples=len(rows), groups=len(rows), sha256=digest)
        )
    return Dataset(
        id=content_id([split.sha256 for split in splits]), name=folder.name, path=str(folder), splits=tuple(splits),
        recipe={}, made_from=(), version=__version__,
    )  # fmt: skip


class Taught(NamedTuple):
    """What the encoder that freehold trains answers by its folder alone, and how sure it is of each."""

    answers: list[dict[str, Any]]
    sure: list[float]
    facts: dict[str, Any]


def taught(out: Path, stage: Any, train: Sequence[Request], held: Sequence[Request]) -> Taught:
    """Train it and ask it, one message at a time on one thread."""
    settings, began = load(), time.monotonic()
    made = train_encoder(
        config=EncoderConfig(stage=stage), dataset=dataset_of(out / "data", train), name="encoder", out_dir=out,
        base=ensure_weights(ENGLISH_BASE, settings), settings=settings, progress=Silent(),
    )  # fmt: skip
    seconds, manifest = time.monotonic() - began, read_manifest(Path(made.path))
    runner = load_runner(Path(made.path), threads=1)
    given, milliseconds = [], []
    for one in held:
        begin = time.process_time()
        texts = manifest.texts_of(messages_of(one))
        (read,) = runner.run([texts])
        assert isinstance(read, EncodedText)
        given.append(answer(manifest, read, texts[0]))
        milliseconds.append((time.process_time() - begin) * 1000)
    facts = {
        "stage": made.stage,
        "seconds": round(seconds),
        "stages": [f"{one.stage}: {one.right} of {one.asked} in {one.seconds:.0f} s" for one in made.stages],
        "cpu_ms": [round(float(np.percentile(milliseconds, share)), 1) for share in (50, 95)],
        "closed": [field.name for field in manifest.fields if field.kind != "copied"],
    }
    return Taught([json.loads(one.text) for one in given], [one.probability for one in given], facts)


def count(
    held: Sequence[Request], answers: Sequence[dict[str, Any]], out: Path
) -> tuple[Any, dict[str, Any]]:
    """Which are right, and what is printed of them; the wrong ones are written to a file to be read."""
    pairs = list(zip(answers, held, strict=True))
    right = np.array([got == one.answer for got, one in pairs])
    wrong = Counter(name for got, one in pairs for name, value in one.answer.items() if got[name] != value)
    lines = [json.dumps([one.text, one.asked, one.answer, got]) for got, one in pairs if got != one.answer]
    out.write_text("\n".join(lines), "utf-8")
    return right, {
        "asked": len(held),
        "right": int(right.sum()),
        "share": round(float(right.mean()), 4),
        "wrong": dict(wrong.most_common(6)),
    }


def main() -> None:
    """Read the arguments, run each, print a line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restaurant8k", type=Path)
    parser.add_argument("--snips", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", choices=("dev", "test"), default="dev")
    parser.add_argument("--stage", default="auto")
    parser.add_argument("names", nargs="*", default=["restaurant", "snips"])
    args = parser.parse_args()
    for name in args.names:
        train, held = parts(name, args.restaurant8k if name == "restaurant" else args.snips, args.part)
        (args.out / name).mkdir(parents=True, exist_ok=True)
        before = cpu_seconds()
        plain, shown = count(held, list(notebook(train, held)), args.out / name / "wrong-notebook.jsonl")
        shown |= {"cpu_seconds": round(cpu_seconds() - before)}
        print(json.dumps({"data": name, "part": args.part, "by": "notebook", **shown}), flush=True)
        before = cpu_seconds()
        made = taught(args.out / name, args.stage, train, held)
        used = round(cpu_seconds() - before)
        right, shown = count(held, made.answers, args.out / name / "wrong-freehold.jsonl")
        surest = np.argsort(-np.array(made.sure), kind="stable")[: len(held) * 4 // 5]
        gained = right.astype(float) - plain
        shown |= made.facts | {
            "cpu_seconds": used,
            "right_of_surest_80": round(float(right[surest].mean()), 4),
            "calibration_error": round(calibration_error(np.array(made.sure), right) or 0, 4),
            "more_than_notebook": round(float(gained.mean()), 4),
            "standard_error": round(float(gained.std() / len(held) ** 0.5), 4),
        }
        print(json.dumps({"data": name, "part": args.part, "by": "freehold", **shown}), flush=True)


if __name__ == "__main__":
    main()
