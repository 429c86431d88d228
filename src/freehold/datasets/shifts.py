"""Labels that are not as frequent in one part of the data as in another.

A proof is of what is held out, and a candidate is chosen by what is not: who is told before the look knows why one may
go another way than the other.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from freehold.datasets.profile import LONGEST_LABEL, MOST_LABELS
from freehold.datasets.sampling import answer_of
from freehold.late import np
from freehold.types.dataset import Sample, SplitName
from freehold.types.trace import Trace

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
