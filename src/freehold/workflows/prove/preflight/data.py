"""Do questions and answers fit the limits, and is everything taught that is asked?

Tokens are told from characters, since the weights may not be here yet: at least one a `_MOST` characters, about one a
`_USUAL`. What fails does so whatever the tokenizer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from freehold.datasets import building
from freehold.evals.scorers.label import LabelScorer
from freehold.types.config import ProjectConfig
from freehold.types.dataset import Dataset, Sample
from freehold.types.evaluation import Task
from freehold.types.finding import Finding, fail, ok, warn
from freehold.workflows.data.curate import label_shifts_of

LENGTHS, LABELS = "lengths", "labels"
_MOST = 6.0
_USUAL = 4.0
_LOOKED_AT = 20_000
_SHOWN = 5


def length_findings(
    config: ProjectConfig, dataset: Dataset, held_out: Sequence[Sample], *, trains: bool, serves: bool
) -> Iterator[Finding]:
    """Samples over `[train] max_tokens` and `[serve] context_tokens`, question and answer together."""
    if trains:
        sizes = [_characters(one) for one in islice(building.samples(dataset, "train"), _LOOKED_AT)]
        yield _lengths(
            sizes, config.train.max_tokens, "[train] max_tokens", "training samples", "are left out"
        )
    if serves:
        room = config.serve.context_tokens
        sizes = [_characters(one, answer=False) + _USUAL * config.task.max_tokens for one in held_out]
        yield _lengths(
            sizes, room, "[serve] context_tokens", "held-out requests", "are refused and count as wrong"
        )


def _characters(sample: Sample, *, answer: bool = True) -> float:
    """Characters of a request as it is written, with its answer."""
    asked = sum(_written(one.content) + _written(one.tool_calls) for one in sample.messages)
    tools = _written(sample.tools)
    return asked + tools + (sum(_written(one.content) for one in sample.answer) if answer else 0)


def _written(value: object) -> int:
    if value is None:
        return 0
    return len(value) if isinstance(value, str) else len(msgspec.json.encode(value))


def _lengths(sizes: Sequence[float], limit: int, key: str, what: str, then: str) -> Finding:
    longest = int(max(sizes, default=0) / _USUAL)
    surely = sum(size / _MOST > limit for size in sizes)
    likely = sum(size / _USUAL > limit for size in sizes)
    fix = f"{key} = {_power_of_two(longest * 1.2)} in freehold.toml"
    if sizes and surely > len(sizes) / 2:
        return fail(
            LENGTHS, f"{surely:,} of {len(sizes):,} {what} are longer than {key} = {limit:,} and {then}", fix
        )
    if likely:
        text = (
            f"about {likely:,} of {len(sizes):,} {what} may be longer than {key} = {limit:,} (the longest has about "
            f"{longest:,} tokens); those {then}"
        )
        return warn(LENGTHS, text, fix)
    return ok(
        LENGTHS, f"the longest of {len(sizes):,} {what} has about {longest:,} tokens; {key} = {limit:,}"
    )


def _power_of_two(tokens: float) -> int:
    found = 1024
    while found < tokens:
        found *= 2
    return found


def shift_findings(dataset: Dataset) -> Iterator[Finding]:
    """Labels that are not as frequent in the held-out part as elsewhere, told before the look."""
    for told in label_shifts_of(dataset):
        yield warn(LABELS, told, "hold out messages of the time and place the candidate is to answer")


def label_findings(task: Task, dataset: Dataset, held_out: Sequence[Sample]) -> Iterator[Finding]:
    """Labels that are asked for in the held-out part and occur in no training sample."""
    if task.scorer != "label":
        return
    scorer = LabelScorer(task.options)
    taught = {
        scorer.label_of(one.target or "") for one in islice(building.samples(dataset, "train"), _LOOKED_AT)
    }
    asked = Counter(label for one in held_out if (label := scorer.label_of(one.target or "")) is not None)
    untaught = Counter({label: count for label, count in asked.items() if label not in taught})
    if not untaught:
        yield ok(LABELS, f"each of the {len(asked):,} labels of the held-out part is taught")
        return
    shown = ", ".join(f"{label} ({count:,})" for label, count in untaught.most_common(_SHOWN))
    more = f" and {len(untaught) - _SHOWN:,} more" if len(untaught) > _SHOWN else ""
    text = (
        f"{len(untaught):,} of {len(asked):,} labels of the held-out part are never taught: {shown}{more}; that is "
        f"{untaught.total() / max(1, asked.total()):.1%} of its items"
    )
    fix = "add training samples of those labels, or expect these items to be lost"
    yield fail(LABELS, text, fix) if len(untaught) == len(asked) else warn(LABELS, text, fix)
