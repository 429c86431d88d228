"""A report for other eyes: without customers' words, the application's own prompt, or this machine's paths. Pure.

Figures and ids stay as they are, so that what was shared can be held against what was kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from freehold.types.dataset import Dataset
from freehold.types.evaluation import Comparison, SliceResult
from freehold.types.journey import Standing
from freehold.types.mixture import Mixture
from freehold.types.report import CandidateReport, Report

LEFT_OUT = "left out"
_SAFE_UNSCORED = re.compile(r"[a-z_ ]{1,40}")


def shareable(report: Report) -> Report:
    """The report without anything that a customer or the application wrote.

    Left out: questions, answers and reasons; what was right; values of slices and of labels; the prompt and its
    changes; options of the scorer; the recipe of the dataset; folders; the endpoint's address.
    """
    if report.is_shared:
        return report
    return msgspec.structs.replace(
        report,
        task=msgspec.structs.replace(report.task, options={}),
        dataset=_dataset(report.dataset),
        candidates=tuple(map(_candidate, report.candidates)),
        endpoint_url=None,
        data=tuple(map(_without_quotes, report.data)),
        notes=tuple(map(_without_quotes, report.notes)),
        facts={},
        standing=_standing(report.standing),
        is_shared=True,
    )


def _dataset(dataset: Dataset) -> Dataset:
    return msgspec.structs.replace(dataset, path="", recipe={}, notes=(), dropped=_counted(dataset.dropped))


def _candidate(one: CandidateReport) -> CandidateReport:
    changed: dict[str, Any] = {
        "disagreements": (),
        "comparison": _comparison(one.comparison),
        "mixture": _mixture(one.mixture),
        "settings": {},
        "stopped": None if one.stopped is None else _without_quotes(one.stopped),
        "not_chosen": None if one.not_chosen is None else _without_quotes(one.not_chosen),
    }
    if one.weights is not None:
        changed["weights"] = msgspec.structs.replace(one.weights, path=None)
    if one.trained is not None:
        changed["trained"] = msgspec.structs.replace(one.trained, path="", metadata={})
    if one.encoder is not None:
        changed["encoder"] = None
    if one.regressions is not None:
        changed["regressions"] = msgspec.structs.replace(
            one.regressions,
            confusions=(),
            by_field={f"field {n}": counts for n, counts in enumerate(one.regressions.by_field.values(), 1)},
        )
    if one.parity is not None:
        changed["parity"] = msgspec.structs.replace(one.parity, items=())
    if one.verdict is not None:
        reasons = tuple(
            msgspec.structs.replace(reason, text=_without_quotes(_slice_text(reason.text)))
            for reason in one.verdict.reasons
        )
        changed["verdict"] = msgspec.structs.replace(one.verdict, reasons=reasons)
    return msgspec.structs.replace(one, **changed)


def _standing(standing: Standing | None) -> Standing | None:
    """Without what an operator wrote of a rollout."""
    if standing is None:
        return None
    return msgspec.structs.replace(standing, next=msgspec.structs.replace(standing.next, why="", others=()))


def _comparison(k: Comparison | None) -> Comparison | None:
    if k is None:
        return None
    return msgspec.structs.replace(
        k,
        slices=tuple(_slices(k.slices)),
        notes=tuple(map(_without_quotes, k.notes)),
        unscored=_counted(k.unscored),
    )


def _mixture(m: Mixture | None) -> Mixture | None:
    if m is None:
        return None
    rule = m.rule
    if rule is not None:
        rule = msgspec.structs.replace(rule, always_incumbent=(), never_defer_out=())
    return msgspec.structs.replace(
        m, comparison=_comparison(m.comparison), rule=rule, notes=tuple(map(_without_quotes, m.notes))
    )


def _slices(slices: Iterable[SliceResult]) -> Iterable[SliceResult]:
    """Slices under numbers: their values are of customers' metadata, or what is right."""
    for number, one in enumerate(slices, 1):
        yield msgspec.structs.replace(one, name=f"{one.name.partition('=')[0].strip()} = value {number}")


def _slice_text(text: str) -> str:
    return re.sub(r"^Slice .*?: (?=[+−-]?\d)", "A slice: ", text, flags=re.DOTALL)


def _without_quotes(text: str) -> str:
    """A note of freehold's own without what it quotes."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|“[^”]*”|‘[^’]*’", f"({LEFT_OUT})", text)


def _counted(counts: dict[str, int]) -> dict[str, int]:
    """Counts by reason; those of reasons that others may have worded stand together."""
    found: dict[str, int] = {}
    for why, count in counts.items():
        name = why if _SAFE_UNSCORED.fullmatch(why) else "other reasons"
        found[name] = found.get(name, 0) + count
    return found
