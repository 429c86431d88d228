"""What a split holds: lengths, languages, answers; and what looks wrong with it."""

from __future__ import annotations

import hashlib
import importlib.util
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from freehold.datasets.building import all_asked
from freehold.late import np
from freehold.types.dataset import Lengths, Sample, SplitName, SplitProfile

MOST_LANGUAGE_LOOKS = 2000
"""Of a longer split every n-th sample is looked at, and the counts are of those."""
SHORTEST_TEXT = 12
"""A shorter text's language cannot be told."""
LONGEST_LABEL = 80
MOST_LABELS = 2000
"""More different answers than this are not labels."""
SHOWN_LABELS = 200
FEW_SAMPLES = 50
FEW_OF_A_LABEL = 5
_LONGEST_READ = 2000


def profile(samples: Sequence[Sample]) -> SplitProfile:
    """One pass over a split. Languages are counted where py3langid (extra ``curate``) is installed."""
    asked: list[int] = []
    answered: list[int] = []
    turns: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    different: set[bytes] = set()
    tools = kept = 0
    classify = language_of()
    every = max(1, len(samples) // MOST_LANGUAGE_LOOKS)
    for place, sample in enumerate(samples):
        question, answer = all_asked(sample), sample.target or ""
        asked.append(len(question))
        answered.append(len(answer))
        count = sum(one.role == "user" for one in sample.messages)
        turns["one turn" if count < 2 else "2 to 4 turns" if count < 5 else "5 turns or more"] += 1
        tools += bool(sample.tools)
        kept += sample.metadata.get("split") == "held_out"
        if not sample.disliked:
            different.add(hashlib.blake2b(answer.encode("utf-8", "surrogatepass"), digest_size=8).digest())
            if len(answer) <= LONGEST_LABEL and (answer in labels or len(labels) <= MOST_LABELS):
                labels[answer] += 1
        if classify is not None and place % every == 0:
            languages[classify(question)] += 1
    return SplitProfile(
        samples=len(samples),
        question_characters=_lengths(asked),
        answer_characters=_lengths(answered),
        turns=dict(turns.most_common()),
        with_tools=tools,
        languages=dict(languages.most_common(10)),
        different_answers=len(different),
        labels=dict(labels.most_common(SHOWN_LABELS))
        if _are_labels(len(different), labels, len(samples))
        else {},
        kept_for_evaluation=kept,
    )


def _are_labels(different: int, labels: Counter[str], samples: int) -> bool:
    """Answers are labels where there are few, short ones that come again and again."""
    return different <= MOST_LABELS and labels.total() == samples and different <= max(2, samples / 2)


def _lengths(counts: Iterable[int]) -> Lengths:
    numbers = np.array(list(counts), dtype=np.int64)
    if not len(numbers):
        return Lengths(median=0, p95=0, longest=0)
    return Lengths(
        median=int(np.median(numbers)), p95=int(np.percentile(numbers, 95)), longest=int(numbers.max())
    )


def language_of() -> Callable[[str], str] | None:
    """A function that tells a text's language (ISO 639-1), ``short`` for too little text; None without py3langid."""
    if importlib.util.find_spec("py3langid") is None:
        return None
    import py3langid

    def classify(text: str) -> str:
        plain = " ".join(text[:_LONGEST_READ].split())
        if sum(char.isalpha() for char in plain) < SHORTEST_TEXT:
            return "short"
        told: Any = py3langid.classify(plain)
        return str(told[0])

    return classify


def warnings(splits: Mapping[SplitName, SplitProfile], conflicts: int) -> Iterator[str]:
    """What to look at before training on it."""
    train, held_out = splits["train"], splits["held_out"]
    if train.different_answers == 1 and train.samples > 1:
        yield (
            f"all {train.samples:,} training samples have the same answer: nothing can be told apart; "
            "are labels missing?"
        )
    if 0 < train.samples < FEW_SAMPLES:  # none is a dataset that only holds out
        yield f"{train.samples:,} training samples are few; expect the base model's behaviour, not yours"
    if held_out.samples < FEW_SAMPLES:
        yield (
            f"{held_out.samples:,} held-out samples prove little: freehold power says how many a verdict needs"
        )
    if 0 < held_out.kept_for_evaluation < held_out.samples:
        yield (
            f"{held_out.kept_for_evaluation:,} of {held_out.samples:,} held-out samples are of files kept for "
            "evaluation; "
            "the others come from what there is to learn from: [data] held_out = 0 leaves those to training"
        )
    if train.labels and held_out.labels:
        unseen = [label for label in held_out.labels if label not in train.labels]
        if unseen and len(train.labels) < SHOWN_LABELS:
            yield f"{len(unseen):,} labels are held out but never taught: {_few(unseen)}"
        rare = [label for label, count in train.labels.items() if count < FEW_OF_A_LABEL]
        if rare:
            yield f"{len(rare):,} labels have fewer than {FEW_OF_A_LABEL} training samples: {_few(rare)}"
        most, count = next(iter(train.labels.items()))
        if (
            train.different_answers > 1
            and count > train.samples / 2
            and count > 2 * train.samples / train.different_answers
        ):
            share = count / train.samples
            yield f"{share:.0%} of the training samples are {most!r}: always answering that is right as often"
    if conflicts:
        yield f"{conflicts:,} pairs ask (nearly) the same and are to be answered differently: are labels wrong?"


def _few(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} …"
