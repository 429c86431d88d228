"""One verdict from comparison, ruling, fit and further checks: the most severe outcome counts.

=========================  ================================  ===========================================
what                       says                              effect
=========================  ================================  ===========================================
comparison                 promote, hold, reject             the same
ruling                     allowed                           none
ruling                     allowed_with_obligations          none; each obligation becomes a condition
ruling                     not_allowed                       reject: no measurement can change it
ruling                     needs_separate_license            hold; getting that licence is a condition
ruling                     unclear, or no ruling at all      hold: an unknown licence is never a yes
fit                        does not fit                      hold: the model is fine, the machine is not
fit                        fits, or not checked              none
parity, latency, format    not ok                            hold: what was measured is not what is served
retained                   what must stay is lost            hold
mixture                    proven on the same samples        promote, with deferral; the candidate alone informs
mixture                    not proven                        none: it informs
cost                       costs more                        none: the owner may pay for independence
=========================  ================================  ===========================================
"""

from __future__ import annotations

from collections.abc import Sequence

from freehold.types.evaluation import Comparison, VerdictOutcome
from freehold.types.license import Ruling
from freehold.types.machine import Fit
from freehold.types.method import MethodName
from freehold.types.mixture import Mixture
from freehold.types.record import content_id
from freehold.types.verdict import SEVERITY, CheckResult, Reason, Verdict
from freehold.visible import gib

_RULING: dict[str, tuple[VerdictOutcome | None, str]] = {
    "allowed": (None, "The licence allows this use."),
    "allowed_with_obligations": (None, "The licence allows this use, with obligations."),
    "not_allowed": ("reject", "The licence does not allow this use."),
    "needs_separate_license": ("hold", "This use needs a separate licence from the publisher."),
    "unclear": ("hold", "It is unclear whether the licence allows this use."),
}


def join(
    comparison: Comparison,
    *,
    ruling: Ruling | None,
    fit: Fit | None = None,
    checks: Sequence[CheckResult] = (),
    method: MethodName | None = None,
    mixture: Mixture | None = None,
    id: str | None = None,
    version: str = "",
) -> Verdict:
    """Join what is known about a candidate into one verdict.

    `id` defaults to the content id of what the verdict is made from. The reasons that call for the outcome
    come first, then those that only inform. Where a `mixture` was proven, that is what is promoted.
    """
    proven = mixture is not None and mixture.is_proven
    alone = [one for one in _from_comparison(comparison) if not proven]
    reasons = [*_from_mixture(mixture, comparison), *alone, *_from_ruling(ruling), *_from_fit(fit)]
    reasons += [_from_check(check) for check in checks]
    outcome: VerdictOutcome = max(
        (reason.effect for reason in reasons if reason.effect is not None), key=SEVERITY.__getitem__
    )
    reasons.sort(key=lambda reason: -1 if reason.effect is None else SEVERITY[reason.effect], reverse=True)
    made_from = [comparison.id]
    made_from += [mixture.id] if mixture is not None else []
    made_from += [record.id for record in (ruling, fit) if record is not None]
    made_from += [check.record_id for check in checks if check.record_id is not None]
    return Verdict(
        id=id or content_id({"made_from": made_from, "outcome": outcome, "reasons": reasons}),
        outcome=outcome,
        candidate=comparison.candidate,
        incumbent=comparison.incumbent,
        reasons=tuple(reasons),
        conditions=_conditions(ruling),
        made_from=tuple(made_from),
        version=version,
        method=method,
        quality="promote" if proven else comparison.verdict,
        mixture_id=mixture.id if mixture is not None and proven else None,
    )


def _from_mixture(mixture: Mixture | None, alone: Comparison) -> list[Reason]:
    if mixture is None:
        return []
    if mixture.alone and not mixture.is_proven:
        return [Reason(code="all_shares_proven", text=mixture.sentence, record_id=mixture.id)]
    if not mixture.is_proven or mixture.comparison is None:
        return [Reason(code="mixture_not_promoted", text=mixture.sentence, record_id=mixture.id)]
    text = f"{mixture.sentence} {_numbers(mixture.comparison)}"
    return [
        Reason(code="promote_with_deferral", text=text, record_id=mixture.id, effect="promote"),
        Reason(code=f"alone_{alone.reasons[0]}", text=f"Alone: {_numbers(alone)}", record_id=alone.id),
    ]


def _from_comparison(comparison: Comparison) -> list[Reason]:
    notes = " ".join(comparison.notes)
    first, *more = comparison.reasons
    reasons = [
        Reason(
            code=first,
            text=f"{_numbers(comparison)} {notes}".strip(),
            record_id=comparison.id,
            effect=comparison.verdict,
        )
    ]
    reasons += [
        Reason(
            code=code, text=code.replace("_", " ").capitalize() + ".", record_id=comparison.id, effect="hold"
        )
        for code in more
        if code != "slice_harm"  # each harmed slice speaks for itself below
    ]
    reasons += [
        Reason(
            code="slice_harm",
            text=f"Slice {part.name}: {_points(part.difference)} points over {part.n} items (adjusted p = "
            f"{part.p_harm_adjusted:.2g}).",
            record_id=comparison.id,
            effect="hold",
        )
        for part in comparison.slices
        if part.harmed and part.difference is not None and part.p_harm_adjusted is not None
    ]
    return reasons


def _numbers(comparison: Comparison) -> str:
    if comparison.difference is None:
        return f"No difference could be computed over {comparison.n} scored pairs."
    if comparison.ci_low is None or comparison.ci_high is None:
        return f"Difference {_points(comparison.difference)} points over {comparison.n} pairs, no interval."
    return (
        f"Difference {_points(comparison.difference)} points, {100 * comparison.level:.3g}% interval "
        f"[{_points(comparison.ci_low)}, {_points(comparison.ci_high)}], margin {100 * comparison.margin:g}, "
        f"{comparison.n} pairs."
    )


def _points(value: float) -> str:
    """Hundredths of the score's unit, as reports and margins are told. Two decimals: what is near a margin shows."""
    return f"{100 * value:+.2f}".replace("-", "−")


def _from_ruling(ruling: Ruling | None) -> list[Reason]:
    if ruling is None:
        return [
            Reason(code="license_not_ruled", text="No licence ruling was made for this use.", effect="hold")
        ]
    effect, sentence = _RULING[ruling.outcome]
    details = " ".join(reason.text for reason in ruling.reasons)
    return [
        Reason(
            code=f"license_{ruling.outcome}",
            text=f"{sentence} {details}".strip(),
            record_id=ruling.id,
            effect=effect,
        )
    ]


def _from_fit(fit: Fit | None) -> list[Reason]:
    if fit is None:
        return []
    numbers = f"needs {gib(fit.total_bytes, 1)}, machine has {gib(fit.available_bytes, 1)}"
    if fit.fits:
        return [Reason(code="fits", text=f"{fit.machine}: {numbers}.", record_id=fit.id)]
    text = f"{fit.machine}: {numbers}. {' '.join(fit.reasons)}".strip()
    return [Reason(code="does_not_fit", text=text, record_id=fit.id, effect="hold")]


def _from_check(check: CheckResult) -> Reason:
    holds = check.ok is False and check.kind != "cost"
    state = {True: "ok", False: "not_ok", None: "noted"}[check.ok]
    return Reason(
        code=f"{check.kind}_{state}",
        text=check.text,
        record_id=check.record_id,
        effect="hold" if holds else None,
    )


def _conditions(ruling: Ruling | None) -> tuple[str, ...]:
    if ruling is None:
        return ()
    conditions = [
        f"{obligation.text} ({obligation.license_id}, {obligation.section})"
        for obligation in ruling.obligations
    ]
    if ruling.outcome == "needs_separate_license":
        licenses = ", ".join(ruling.licenses) or ruling.model
        conditions.insert(0, f"Get a separate licence from the publisher ({licenses}).")
    return tuple(conditions)
