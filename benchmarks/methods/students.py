"""Students of each shape beside a notebook: the same texts, the same split, one run.

    python -m benchmarks.methods.students --data DATA --dialogues FOLDER --out OUT --part first \
        several dialogue grades german long outside banking whole

Each notebook below is what thirty lines of scikit-learn and sentence-transformers make of the shape. Of the texts that
are held out one half (`--part first`) is looked at while something is developed, the other (`second`) at the end. Data
is not copied: NLU++, Banking77 (PolyAI, CC-BY-4.0), STS benchmark, 10kGNAD (its test file), CLINC150, 20 Newsgroups
(by date, without headers), Simulated Dialogue (movies; Google).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer
from threadpoolctl import threadpool_limits

from benchmarks.methods.encoders import cpu_seconds, dataset_of
from freehold.encoders.answers import answer
from freehold.encoders.runner import EncodedText, load_runner
from freehold.progress import Silent
from freehold.settings import Settings, load
from freehold.training.encoder.heads import calibration_error
from freehold.types.dataset import Message
from freehold.types.encoder import WORDS_MODEL, EncoderConfig, EncoderManifest
from freehold.workflows.train.encoder import ENGLISH_BASE, MULTILINGUAL_BASE, train_encoder
from freehold.workflows.weights.pull import ensure_weights

Turn = tuple[str, str]


class Row(NamedTuple):
    """A conversation as (role, text), and its right answer."""

    turns: tuple[Turn, ...]
    gold: str

    @property
    def last(self) -> str:
        return self.turns[-1][1]


class Shape(NamedTuple):
    """Rows that are taught, that choose, and that are held out."""

    train: list[Row]
    validation: list[Row]
    held: list[Row]


# Data


def _user(text: str, gold: str) -> Row:
    return Row((("user", text),), gold)


def several(data: Path, _: Path) -> list[Row]:
    rows = []
    for path in sorted((data / "polyai/nlupp/data/banking").glob("*.json")):
        rows += [
            _user(one["text"], json.dumps(one.get("intents", []))) for one in json.loads(path.read_text())
        ]
    return rows


def banking(data: Path, _: Path) -> list[Row]:
    with (data / "polyai/banking_data/train.csv").open(newline="", encoding="utf-8") as file:
        return [_user(row["text"], row["category"]) for row in csv.DictReader(file)][::3]


def grades(data: Path, _: Path) -> list[Row]:
    rows = []
    for name in ("train", "dev"):
        for line in (data / f"sts/data/sts-{name}.csv").read_text(encoding="utf-8").splitlines():
            cells = line.split("\t")
            if len(cells) >= 7:
                text = f"Sentence 1: {cells[5]}\nSentence 2: {cells[6]}"
                rows.append(_user(text, str(int(float(cells[4]) + 0.5))))
    return random.Random(5).sample(rows, 4000)


def german(data: Path, _: Path) -> list[Row]:
    with (data / "gnad/test.csv").open(newline="", encoding="utf-8") as file:
        return [_user(row[1], row[0]) for row in csv.reader(file, delimiter=";", quotechar="'")]


def long(data: Path, _: Path) -> list[Row]:
    """Messages of at least 250 words to one of 20 newsgroups. The headers name the group and are left out."""
    rows = []
    for path in sorted((data / "news20/data").glob("20news-bydate-*/*/*")):
        text = path.read_text(encoding="latin-1").partition("\n\n")[2]
        if len(text.split()) >= 250:
            rows.append(_user(text, path.parent.name))
    return rows


def outside(data: Path, part: str) -> Shape:
    """150 intents and messages that are none of them: 3 % of those that are taught, 18 % of those held out."""
    read = json.loads((data / "clinc/data/data_full.json").read_text(encoding="utf-8"))
    rows = {name: random.Random(1).sample([_user(*one) for one in of], len(of)) for name, of in read.items()}
    at = 0 if part == "first" else 1
    held = rows["test"][at * 2250 :][:2250] + rows["oos_test"][at * 500 :][:500]
    return Shape(rows["train"][:3233] + rows["oos_train"], rows["val"][:970] + rows["oos_val"][:30], held)


def whole(data: Path, _: str) -> Shape:
    """All of Banking77; held out is its own test file."""

    def rows(name: str) -> list[Row]:
        with (data / "polyai/banking_data" / name).open(newline="", encoding="utf-8") as file:
            return [_user(row["text"], row["category"]) for row in csv.DictReader(file)]

    taught = rows("train.csv")
    random.Random(0).shuffle(taught)
    return Shape(taught[:8500], taught[8500:], rows("test.csv"))


def dialogue(_: Path, dialogues: Path) -> list[Row]:
    """The user's acts with the slots they speak of, which a bare "yes" or "3" does not tell."""
    rows = []
    for path in sorted(dialogues.glob("*.json")):
        for one in json.loads(path.read_text(encoding="utf-8")):
            turns: list[Turn] = []
            for turn in one["turns"]:
                said = turn.get("system_utterance", {}).get("text")
                if said:
                    turns.append(("assistant", said))
                turns.append(("user", turn["user_utterance"]["text"]))
                acts = {act["type"] for act in turn["user_acts"]}
                slots = {slot["slot"] for slot in turn["user_utterance"]["slots"]}
                if "AFFIRM" in acts:
                    slots |= {act["slot"] for act in turn.get("system_acts", ()) if act["type"] == "CONFIRM"}
                rows.append(Row(tuple(turns), "+".join([*sorted(acts), *sorted(slots)]) or "NONE"))
    return rows


# Notebooks: what is trained on, what is asked, what is answered


def words_notebook(train: list[Row], held: list[Row], base: Any) -> list[str]:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    model = LogisticRegression(C=30, max_iter=300)
    model.fit(words.fit_transform([row.last for row in train]), [row.gold for row in train])
    return list(model.predict(words.transform([row.last for row in held])))


def several_notebook(train: list[Row], held: list[Row], base: Any) -> list[str]:
    words, labels = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), MultiLabelBinarizer()
    model = OneVsRestClassifier(LogisticRegression(C=30, max_iter=300))
    model.fit(words.fit_transform([row.last for row in train]),
              labels.fit_transform([json.loads(row.gold) for row in train]))  # fmt: skip
    given = model.predict(words.transform([row.last for row in held]))
    return [json.dumps(list(one)) for one in labels.inverse_transform(given)]


def dialogue_notebook(train: list[Row], held: list[Row], base: Any) -> list[str]:
    def features(rows: list[Row]) -> Any:
        users = [[text for role, text in row.turns if role == "user"] for row in rows]
        before = [
            next((text for role, text in reversed(row.turns) if role == "assistant"), "") for row in rows
        ]
        parts = ([row.last for row in rows], before, [" ".join(one[:-1]) for one in users])
        return np.hstack([base.encode(part, normalize_embeddings=True) for part in parts])

    model = LogisticRegression(C=10, max_iter=500).fit(features(train), [row.gold for row in train])
    return list(model.predict(features(held)))


def grades_notebook(train: list[Row], held: list[Row], base: Any) -> list[str]:
    def features(rows: list[Row]) -> Any:
        pairs = [[line.split(": ", 1)[1] for line in row.last.split("\n")] for row in rows]
        u, v = (base.encode([pair[at] for pair in pairs], normalize_embeddings=True) for at in (0, 1))
        return np.hstack([abs(u - v), u * v, (u * v).sum(1, keepdims=True)])

    model = LogisticRegression(C=1, max_iter=500).fit(features(train), [row.gold for row in train])
    return list(model.predict(features(held)))


def frozen_notebook(train: list[Row], held: list[Row], base: Any) -> list[str]:
    model = LogisticRegression(C=10, max_iter=500)
    model.fit(
        base.encode([row.last for row in train], normalize_embeddings=True), [row.gold for row in train]
    )
    return list(model.predict(base.encode([row.last for row in held], normalize_embeddings=True)))


SHAPES = {
    "several": (several, several_notebook),
    "dialogue": (dialogue, dialogue_notebook),
    "grades": (grades, grades_notebook),
    "german": (german, words_notebook),
    "long": (long, words_notebook),
    "banking": (banking, frozen_notebook),
    "outside": (None, frozen_notebook),
    "whole": (None, frozen_notebook),
}
AS_SPLIT = {"outside": outside, "whole": whole}
"""Those that come with parts of their own."""


def split(rows: Sequence[Row], part: str) -> Shape:
    """Six tenths taught, one and a half to choose, a half of the rest held out."""
    drawn = random.Random(0).sample(list(rows), len(rows))
    train, validation = round(0.6 * len(rows)), round(0.75 * len(rows))
    middle = (validation + len(rows)) // 2
    held = drawn[validation:middle] if part == "first" else drawn[middle:]
    return Shape(drawn[:train], drawn[train:validation], held)


def same(given: str, gold: str) -> bool:
    """Lists as sets, other answers by their letters."""
    return set(json.loads(given)) == set(json.loads(gold)) if gold.startswith("[") else given == gold


def student(
    name: str, shape: Shape, out: Path, settings: Settings, stage: Any
) -> tuple[list[str], dict[str, Any]]:
    """What freehold's own student answers, by its folder, and figures of its making."""

    def messages(row: Row) -> tuple[Message, ...]:
        return tuple(Message(role=role, content=text) for role, text in row.turns)

    dataset = dataset_of(
        out / "data",
        {
            part: [(messages(row), row.gold) for row in rows]
            for part, rows in (
                ("train", shape.train),
                ("validation", shape.validation),
                ("held_out", shape.held),
            )
        },
    )
    usual = MULTILINGUAL_BASE if name == "german" else ENGLISH_BASE
    base = ensure_weights(WORDS_MODEL if stage == "words" else usual, settings)
    before = cpu_seconds()
    made = train_encoder(
        config=EncoderConfig(stage="auto" if stage == "words" else stage), dataset=dataset, base=base, out_dir=out,
        name="student", settings=settings, progress=Silent(),
    )  # fmt: skip
    used = cpu_seconds() - before
    folder = Path(made.path)
    manifest = msgspec.json.decode((folder / "encoder.json").read_bytes(), type=EncoderManifest)
    texts = [manifest.texts_of(messages(row)) for row in shape.held]
    runner, before = load_runner(folder, threads=1), time.process_time()
    read = [runner.run([one])[0] for one in texts]
    each = (time.process_time() - before) / len(texts)
    told = [
        answer(manifest, one, text[0])
        for one, text in zip(read, texts, strict=True)
        if isinstance(one, EncodedText)
    ]
    given = [one.text for one in told]
    right = np.array([same(one, row.gold) for one, row in zip(given, shape.held, strict=True)])
    error = calibration_error(np.array([one.probability for one in told]), right)
    stages = {one.stage: round(one.right / max(1, one.asked), 4) for one in made.stages}
    return given, {
        "stage": made.stage,
        "validation": stages,
        "views": manifest.views,
        "cpu_seconds": round(used, 1),
        "milliseconds_a_request": round(1000 * each, 3),
        "words_first": manifest.first,
        "by_words": round(float(np.mean([isinstance(one, EncodedText) and not one.embedding.any()
                                         for one in read])), 3),
        "calibration_error": [made.calibration_error, error],
    }  # fmt: skip


def main() -> None:
    """Run the shapes named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--dialogues", type=Path, default=Path("sim-M"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", choices=("first", "second"), default="first")
    parser.add_argument(
        "--stage", choices=("auto", "words", "frozen", "contrastive", "tuned"), default="auto"
    )
    parser.add_argument("shapes", nargs="+", choices=sorted(SHAPES))
    given = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    settings = load()
    for name in given.shapes:
        read, notebook = SHAPES[name]
        if read is None:
            shape = AS_SPLIT[name](given.data, given.part)
        else:
            shape = split(read(given.data, given.dialogues), given.part)
        golds = [row.gold for row in shape.held]
        ours, figures = student(name, shape, given.out / name, settings, given.stage)
        from sentence_transformers import SentenceTransformer

        base = SentenceTransformer(str(ensure_weights(ENGLISH_BASE, settings).path), device="cpu")
        before = cpu_seconds()
        with threadpool_limits(1):
            theirs = notebook([*shape.train, *shape.validation], shape.held, base)
        hits = [np.array([same(*pair) for pair in zip(side, golds, strict=True)]) for side in (ours, theirs)]
        apart = hits[0].astype(float) - hits[1]
        figures |= {
            "shape": name, "samples": [len(one) for one in shape], "student": round(hits[0].mean(), 4),
            "notebook": round(hits[1].mean(), 4), "standard_error": round(apart.std() / len(apart) ** 0.5, 4),
            "notebook_cpu_seconds": round(cpu_seconds() - before, 1),
        }  # fmt: skip
        if all(gold.isdigit() for gold in golds):
            figures["within_one"] = [
                float(
                    np.mean([abs(int(one) - int(gold)) <= 1 for one, gold in zip(side, golds, strict=True)])
                )
                for side in (ours, theirs)
            ]
        if name == "outside":
            wanted = np.array([gold == "oos" for gold in golds])
            figures["outside_found"] = [round(float(side[wanted].mean()), 4) for side in hits]
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
