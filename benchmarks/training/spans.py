"""Values copied from a message into JSON: freehold's encoder next to a notebook of thirty lines, on the same messages.

    python -m benchmarks.training.spans --restaurant8k DIR --snips DIR --out /tmp/spans [--part test] restaurant snips

`restaurant`: five fields, all copied, null where the guest named none; what the assistant asked for is a line of the
system prompt. `snips`: the intent, which is from a closed set, and the slots of three intents. An answer counts where
all of its fields are right, letter for letter. Part ``dev`` is cut from the training files and was looked at while
the method was made; ``test`` is the data's own test part. Data: PolyAI task-specific-datasets (CC-BY-4.0; Coope et al.
2020, Span-ConveRT) and SNIPS (CC0), not copied here.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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


def main() -> None:
    """Read the arguments, run each, print a line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restaurant8k", type=Path)
    parser.add_argument("--snips", type=Path)
    parser.add_argument("--part", choices=("dev", "test"), default="dev")
    parser.add_argument("names", nargs="*", default=["restaurant", "snips"])
    args = parser.parse_args()
    for name in args.names:
        train, held = parts(name, args.restaurant8k if name == "restaurant" else args.snips, args.part)
        began = time.process_time()
        answers = list(notebook(train, held))
        wrong = Counter(
            field
            for got, one in zip(answers, held, strict=True)
            for field, value in one.answer.items()
            if got[field] != value
        )
        right = sum(got == one.answer for got, one in zip(answers, held, strict=True))
        print(json.dumps({"data": name, "by": "notebook", "train": len(train), "asked": len(held), "right": right,
                          "share": round(right / len(held), 4), "cpu_seconds": round(time.process_time() - began, 1),
                          "wrong": dict(wrong.most_common(6))}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
