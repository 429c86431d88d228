"""What could go wrong with a candidate: its worst slice, how sure it is, and the records that say so. Pure."""

from __future__ import annotations

from freehold.report import words
from freehold.report.first_screen import decisive
from freehold.types.evaluation import SliceResult
from freehold.types.report import CandidateReport


def worst_slice(candidate: CandidateReport) -> SliceResult | None:
    """The slice that was tested and lost most; None where none was."""
    k = decisive(candidate)
    tested = [] if k is None else [one for one in by_drop(k.slices) if one.p_harm is not None]
    return tested[0] if tested else None


def by_drop(slices: tuple[SliceResult, ...]) -> list[SliceResult]:
    """The largest drop first; those too small to test, where chance makes the largest ones, last. Reports of earlier
    versions have another order."""
    return sorted(
        slices,
        key=lambda one: (one.p_harm is None, 1.0 if one.difference is None else one.difference, one.name),
    )


def calibration(candidate: CandidateReport) -> str:
    """How far its own confidence can be believed."""
    mixture, encoder = candidate.mixture, candidate.encoder
    if mixture is not None and mixture.curves:
        best = mixture.curves[mixture.best or 0].quality
        return (
            f"by its {best.signal.replace('_', ' ')}: calibration error {words.percent(best.error_after)} on "
            f"{best.n:,} samples, and a good answer is surer than another with a probability of "
            f"{words.percent(best.auroc)}"
        )
    if encoder is not None and encoder.calibration_error is not None:
        return f"calibration error {words.percent(encoder.calibration_error)} on {encoder.validation_asked:,} samples"
    return "not measured: no mixture was planned ([defer])"


def ids(candidate: CandidateReport) -> list[str]:
    """The records that the risks are from."""
    records = (
        decisive(candidate), candidate.retained, candidate.mixture, candidate.encoder, candidate.parity,
        candidate.leak, candidate.verdict,
    )  # fmt: skip
    return [one.id for one in records if one is not None]
