"""Candidates side by side: what each did on the selection split, what it costs, and the proofs apart."""

from __future__ import annotations

from typing import NamedTuple

from freehold.types.report import CandidateReport, Report

NOT_EVIDENCE = "The ranking of these is not evidence: their intervals overlap."
CHOSEN_BY = (
    "These samples choose and prove nothing: the candidate that looks best on them is partly lucky. The proof is the "
    "comparison on the held-out samples."
)

NO_INCUMBENT = (
    "The incumbent has no answers on these samples, so candidates were compared with what is right: as if it never "
    "erred. freehold freeze --split validation records them."
)


class SelectionPictureRow(NamedTuple):
    """An interval of a difference to the incumbent. `kind` is ``proof`` for held-out samples, ``chosen`` or ``other``
    for the selection split; `needed` is the difference from which on a candidate suffices."""

    label: str
    kind: str
    low: float
    middle: float
    high: float
    needed: float | None = None
    verdict: str = ""


def selection_rows(report: Report) -> list[SelectionPictureRow]:
    """The rows of the picture: candidates by their cost, then the proof; empty where nothing was chosen."""
    if report.choice is None:
        return []
    chosen = report.chosen
    rows = []
    for one in by_cost(report):
        found = one.selection
        if found is None or found.difference is None or found.ci_low is None or found.ci_high is None:
            continue
        kind = "chosen" if one is chosen else "other"
        rows.append(
            SelectionPictureRow(one.label, kind, found.ci_low, found.difference, found.ci_high, found.needed)
        )
    proven = [one for one in report.candidates if one.proof is not None]
    for one in sorted(proven, key=lambda one: one is chosen):
        rows += proof_rows(one)
    return rows


def proof_rows(candidate: CandidateReport) -> list[SelectionPictureRow]:
    """The row of what was proven of it; none without."""
    k = candidate.proof
    if k is None or k.ci_low is None or k.difference is None or k.ci_high is None:
        return []
    label = f"{candidate.label} + {k.incumbent}" if candidate.is_mixture else candidate.label
    return [SelectionPictureRow(label, "proof", k.ci_low, k.difference, k.ci_high, verdict=k.verdict)]


def by_cost(report: Report) -> list[CandidateReport]:
    """The candidates that were measured on the selection split, the cheapest first; those of unknown cost last."""

    def rank(one: CandidateReport) -> tuple[bool, float]:
        cost = one.selection.cost if one.selection is not None else None
        usd = None if cost is None else cost.usd_per_1000
        return usd is None, 0.0 if usd is None else float(usd)

    return sorted((one for one in report.candidates if one.selection is not None), key=rank)


def against_right(report: Report) -> bool:
    """Whether candidates were compared with what is right, for want of the incumbent's answers."""
    return any(one.selection is not None and one.selection.against == "right" for one in report.candidates)


def not_measured(report: Report) -> list[CandidateReport]:
    """The candidates that were not: they could not be made, or a cheaper one sufficed."""
    return [one for one in report.candidates if one.selection is None]
