"""What a dataset holds and what looks wrong with it, and its data card as Markdown.

A proof is of what is held out, and a candidate is chosen by what is not: who is told before the look knows why one may
go another way than the other.
"""

from __future__ import annotations

import hashlib
import importlib.util
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from freehold.datasets.building import all_asked
from freehold.datasets.sampling import answer_of
from freehold.late import np
from freehold.types.dataset import DataCard, Lengths, Sample, SplitName, SplitProfile
from freehold.types.trace import Trace

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
            labels = "1 label is" if len(unseen) == 1 else f"{len(unseen):,} labels are"
            yield f"{labels} held out but never taught: {_few(unseen)}"
        rare = [label for label, count in train.labels.items() if count < FEW_OF_A_LABEL]
        if rare:
            labels = "1 label has" if len(rare) == 1 else f"{len(rare):,} labels have"
            yield f"{labels} fewer than {FEW_OF_A_LABEL} training samples: {_few(rare)}"
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


LEVEL = 0.01
"""A difference that chance makes more often is none."""
TELLS = 0.02
"""Share of the messages that would have to have another label, from which on a difference matters."""
DRAWS = 1_999
SHOWN = 3


class LabelShift(NamedTuple):
    """`p`, the `share` of messages that would need another label for both sides to be alike (total variation), and the
    labels that differ most, with their shares before and after."""

    p: float
    share: float
    most: tuple[tuple[str, float, float], ...]

    @property
    def tells(self) -> bool:
        """Whether the difference is more than chance, and large enough to matter."""
        return self.p < LEVEL and self.share >= TELLS


def label_shift(before: Mapping[str, int], after: Mapping[str, int], *, seed: int = 0) -> LabelShift | None:
    """Compare counts of labels; None where one side has none. The same counts always give the same p-value."""
    labels = sorted(label for label in {*before, *after} if before.get(label) or after.get(label))
    both = np.array([[side.get(label, 0) for label in labels] for side in (before, after)], dtype=np.int64)
    (n, m), total = both.sum(axis=1), both.sum(axis=0)
    if not n or not m:
        return None
    expected = total * (n / (n + m))
    # Over both sides: where one exceeds its expectation, the other lacks as much.
    weight = 1 / expected + 1 / (total - expected)
    draws = np.random.default_rng(seed).multivariate_hypergeometric(total, n, size=DRAWS, method="marginals")
    found = float(((both[0] - expected) ** 2 * weight).sum())
    drawn = ((draws - expected) ** 2 * weight).sum(axis=1)
    shares = both / np.array([[n], [m]])
    order = np.argsort(-((both[0] - expected) ** 2) * weight, kind="stable")[:SHOWN]
    return LabelShift(
        p=(1 + int((drawn >= found * (1 - 1e-12)).sum())) / (DRAWS + 1),
        share=float(np.abs(shares[0] - shares[1]).sum() / 2),
        most=tuple((labels[at], float(shares[0, at]), float(shares[1, at])) for at in order.tolist()),
    )


class LabelTimes:
    """When which label was asked for, of traces whose time is known; of a conversation each label once."""

    def __init__(self) -> None:
        self._at, self._labels = array("d"), array("L")
        self._codes: dict[str, int] = {}
        self._seen: set[int] = set()

    def add(self, trace: Trace) -> None:
        """Count a trace. A record of a file without a time has that of its import, which says nothing."""
        label = trace.gold if trace.gold is not None else answer_of(trace)
        known = label is not None and (label in self._codes or len(self._codes) < MOST_LABELS)
        if label is None or not known or len(label) > LONGEST_LABEL or trace.at == trace.imported_at:
            return
        if trace.conversation_id is not None:
            key = hash((trace.conversation_id, label))
            if key in self._seen:
                return
            self._seen.add(key)
        self._at.append(trace.at.timestamp())
        self._labels.append(self._codes.setdefault(label, len(self._codes)))

    def halves(self, labels: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
        """Counts of those `labels` in the early half and in the late one; what came in the middle instant is late."""
        wanted = {self._codes[label]: label for label in labels if label in self._codes}
        middle = sorted(self._at)[len(self._at) // 2] if self._at else 0.0
        early, late = Counter[str](), Counter[str]()
        for at, code in zip(self._at, self._labels, strict=True):
            if code in wanted:
                (early if at < middle else late)[wanted[code]] += 1
        return early, late


def label_shifts(by_split: Mapping[SplitName, Sequence[Sample]], times: LabelTimes) -> Iterator[str]:
    """What differs in sentences: between what is learned from or chosen by and what is held out, and with time."""
    before = _counts(chain(by_split["train"], by_split["validation"]))
    after = _counts(by_split["held_out"])
    yield from _told(before, after, "what is learned from or chosen by", "what is held out")
    yield from _told(*times.halves({*before, *after}), "the early half of the log", "the late half")


def _counts(samples: Iterable[Sample]) -> Counter[str]:
    """Samples by label, of a group each label once, since what one user asks again tells nothing new."""
    found = Counter[str]()
    seen: set[tuple[str, str]] = set()
    for sample in samples:
        label = sample.target
        if label is None or (sample.group is not None and (sample.group, label) in seen):
            continue
        if sample.group is not None:
            seen.add((sample.group, label))
        found[label] += 1
    return found


def _told(before: Counter[str], after: Counter[str], first: str, second: str) -> Iterator[str]:
    found = label_shift(before, after)
    if found is None or not found.tells:
        return
    shown = ", ".join(f"{label} {share:.1%} and {other:.1%}" for label, share, other in found.most)
    yield (
        f"Labels differ between {first} and {second} (p = {found.p:.2g}): {shown}. What is seen on the one may not "
        "hold on the other."
    )


FIRST_LABELS = 12


def card_markdown(card: DataCard) -> str:
    """The card for people: what is in the data, where from, what was done to it, under whose terms."""
    parts = [f"# Data card: {card.name}", f"Dataset `{card.dataset_id}`." if card.dataset_id else "Not kept."]
    if card.warnings:
        parts += ["## Look at this first", _lines(card.warnings)]
    parts += ["## What is in it", _table(card)]
    for name, split in card.splits.items():
        said = "\n".join(f"- {line}" for line in _about(split))
        parts.append(f"**{name.replace('_', '-')}**\n\n{said}")
    parts += ["## Where it is from", _lines(_origins(card))]
    parts += ["## What was done to it", _lines(_done(card))]
    if card.first_conflicts:
        parts += ["## Asked the same, answered differently", _lines(_conflicts(card))]
    parts += [
        "## Under whose terms",
        _lines(card.terms or ("Only your own answers are learned from.",)),
    ]
    return "\n\n".join(parts) + "\n"


def card_in_short(card: DataCard) -> tuple[str, ...]:
    """The card for other pages: where the data are from, what was done to them, whose terms count, what looks wrong.
    Nothing of any sample is in it."""
    doubtful = (f"look at this: {warning}" for warning in card.warnings)
    return (*_origins(card), *_done(card), *card.terms, *doubtful)


def _lines(lines: Iterator[str] | tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(card: DataCard) -> str:
    rows = [
        "Lengths are characters: median, 95 %, longest.",
        "",
        "| split | samples | question | answer |",
        "|---|--:|---|---|",
    ]
    for name, split in card.splits.items():
        asked, said = split.question_characters, split.answer_characters
        rows.append(
            f"| {name.replace('_', '-')} | {split.samples:,} | {asked.median:,}, {asked.p95:,}, {asked.longest:,} "
            f"| {said.median:,}, {said.p95:,}, {said.longest:,} |"
        )
    return "\n".join(rows)


def _about(split: SplitProfile) -> Iterator[str]:
    if split.turns:
        yield "turns: " + ", ".join(f"{count:,} with {name}" for name, count in split.turns.items())
    if split.with_tools:
        yield f"{split.with_tools:,} with tools"
    if split.languages:
        looked = sum(split.languages.values())
        yield f"languages of {looked:,} looked at: " + ", ".join(
            f"{name} {count:,}" for name, count in split.languages.items()
        )
    if split.labels:
        first = list(split.labels.items())[:FIRST_LABELS]
        more = "" if split.different_answers <= len(first) else " …"
        yield (
            f"{split.different_answers:,} labels: "
            + ", ".join(f"{_cell(name)} {count:,}" for name, count in first)
            + more
        )
    else:
        yield f"{split.different_answers:,} different answers"


def _origins(card: DataCard) -> Iterator[str]:
    for origin in card.origins:
        model = f", answered by {origin.model}" if origin.model else ""
        yield f"{origin.traces:,} traces from {origin.source}{model}"
    if card.first_at and card.last_at:
        yield f"from {card.first_at} to {card.last_at} (UTC; the time of import where none was recorded)"


def _done(card: DataCard) -> Iterator[str]:
    how = {
        "off": "not looked for",
        "patterns": "looked for by built-in patterns (no names)",
        "library": "looked for by Presidio without a language model (no names)",
        "library with names": "looked for by Presidio with a language model",
    }.get(card.personal_data, card.personal_data)
    yield f"personal data: {how}"
    for kind, found in card.replaced.items():
        yield (
            f"{kind}: {found.found:,} replaced in {found.samples:,} samples, {found.different:,} different ones, "
            "each by a placeholder of its own"
        )
    near = card.near_duplicates
    if near is None:
        yield "near duplicates: not searched for"
    else:
        across, within = sum(near.across.values()), sum(near.within.values())
        yield (
            f"near duplicates (likeness from {near.threshold:g}): {across:,} taken out because another split holds "
            f"one, {within:,} repeats taken out, {near.in_held_out:,} repeats left in held-out"
        )
    for reason, count in sorted(card.left_out.items()):
        yield f"left out: {count:,} × {reason}"
    right = card.incumbent_right
    if right.get("scored"):
        yield (
            f"the incumbent's answer is right in {right['right']:,} of {right['scored']:,} samples that have a right "
            f"answer as well (scorer {right['scorer']}); {right['not_learned']:,} wrong ones are not learned from"
        )
    yield "training targets: " + ", ".join(f"{count:,} {name}" for name, count in card.targets_from.items())


def _conflicts(card: DataCard) -> Iterator[str]:
    for one in card.first_conflicts:
        sides = {"gold": one.gold, "other_gold": one.other_gold}.get(one.incumbent_sides_with or "")
        said = f"; the incumbent says `{_cell(sides)}` to both" if sides is not None else ""
        yield (
            f"“{_cell(one.question)}” → `{_cell(one.gold)}`, “{_cell(one.other_question)}” → `{_cell(one.other_gold)}` "
            f"({one.similarity:.0%} alike{said}; {one.sample_ids[0][:8]}, {one.sample_ids[1][:8]})"
        )


def _cell(text: str, most: int = 120) -> str:
    line = " ".join(text.split()).replace("|", "\\|").replace("`", "'")
    return line if len(line) <= most else line[: most - 1] + "…"
