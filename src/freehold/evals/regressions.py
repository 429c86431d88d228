"""Where a candidate lost against the incumbent, by cause and by field. Pure."""

from __future__ import annotations

from collections import Counter

from freehold.evals.comparing import SideBySide
from freehold.types.evaluation import EvalResult
from freehold.types.standing import Regressions

MOST_CONFUSIONS, LONGEST_LABEL = 12, 40


def regressions(results: SideBySide) -> Regressions:
    """Count the pairs in which both answers were scored."""
    scored = lost = won = 0
    causes: Counter[str] = Counter()
    fields: dict[str, list[int]] = {}
    confusions: Counter[tuple[str, str]] = Counter()
    for reference, incumbent, candidate in zip(
        results.references, results.incumbent, results.candidate, strict=True
    ):
        one, other = incumbent.score.value, candidate.score.value
        if one is None or other is None:
            continue
        scored += 1
        won += other > one
        for side, result in enumerate((candidate, incumbent)):
            for name, value in result.score.parts.items():
                fields.setdefault(name, [0, 0])[side] += value < 1
        if other >= one:
            continue
        lost += 1
        causes[_cause(candidate)] += 1
        answer = candidate.output
        if reference is not None and answer is not None and not candidate.score.parts:
            pair = reference.strip(), answer.strip()
            if max(map(len, pair)) <= LONGEST_LABEL and "\n" not in "".join(pair):
                confusions[pair] += 1
    return Regressions(
        scored=scored,
        lost=lost,
        won=won,
        by_cause=dict(causes.most_common()),
        by_field={name: (counts[0], counts[1]) for name, counts in fields.items()},
        confusions=tuple((*pair, count) for pair, count in confusions.most_common(MOST_CONFUSIONS)),
    )


def _cause(candidate: EvalResult) -> str:
    if candidate.error is not None or candidate.output is None:
        return "no answer"
    if not candidate.output.strip():
        return "an empty answer"
    if not candidate.score.format_ok:
        return "an answer in the wrong form"
    wrong = [name for name, value in candidate.score.parts.items() if value < 1]
    if len(wrong) == 1:
        return "one field wrong"
    if wrong:
        return "several fields wrong"
    return "a wrong answer" if candidate.score.value == 0 else "a worse answer"
