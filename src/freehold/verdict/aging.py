"""How old the gates of a verdict are, and what has changed under them. Pure.

========  ==========================================  ==================================
gate      rests on                                    measured by
========  ==========================================  ==================================
quality   data, task, judge, adapter, prompt, engine  the comparison, or the mixture's
parity    adapter, engine                             the parity check
license   catalog                                     the ruling
========  ==========================================  ==================================

Traffic moves on, so that quality has an age as well. The same weights in the same engine stay the same, and rulings
have no clock (docs/decisions/007-evidence-ages.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from freehold.types.verdict import EvidenceAge, EvidenceGate, EvidencePart, Verdict

PARTS_OF: dict[EvidenceGate, tuple[EvidencePart, ...]] = {
    "quality": ("data", "task", "judge", "adapter", "prompt", "engine"),
    "parity": ("adapter", "engine"),
    "license": ("catalog",),
}
CHANGED: dict[EvidencePart, str] = {
    "data": "the dataset is another one now",
    "task": "what counts as right was changed ([task])",
    "judge": "another judge scores now ([task] options)",
    "adapter": "the weights or the adapter that are served are others",
    "prompt": "requests are prepared in another way now",
    "engine": "the engine, its version or its options are others",
    "catalog": "the catalog's facts about the model were changed",
}
RENEW = "freehold migrate"
NOT_KEPT = "what it was measured with is not known"
_CODES = {"parity": ("parity_ok", "parity_not_ok"), "license": ("license_",)}


def evidence_ages(
    verdict: Verdict, now: Mapping[EvidencePart, str], *, at: datetime, max_age_days: float
) -> tuple[EvidenceAge, ...]:
    """Every gate of a verdict at a time. `now` are the parts as they are; one that is absent there, or was when it was
    measured, is not compared."""
    return tuple(
        _aged(gate, record_id, verdict, now, at, max_age_days) for gate, record_id in _gates(verdict)
    )


def _gates(verdict: Verdict) -> list[tuple[EvidenceGate, str]]:
    """The gates that were measured, each with the record it rests on."""
    quality = verdict.mixture_id or (verdict.made_from[0] if verdict.made_from else verdict.id)
    found: list[tuple[EvidenceGate, str]] = [("quality", quality)]
    for gate in ("parity", "license"):
        record = next(
            (
                one.record_id
                for one in verdict.reasons
                if one.record_id is not None and one.code.startswith(_CODES[gate])
            ),
            None,
        )
        if record is not None:
            found.append((gate, record))
    return found


def _aged(
    gate: EvidenceGate,
    record_id: str,
    verdict: Verdict,
    now: Mapping[EvidencePart, str],
    at: datetime,
    max_age_days: float,
) -> EvidenceAge:
    basis = verdict.evidence
    made_at = None if basis is None else basis.made_at.get(gate)
    why: list[str] = []
    if basis is None:
        why.append(NOT_KEPT)
    else:
        why += [
            CHANGED[part]
            for part in PARTS_OF[gate]
            if part in basis.parts and part in now and basis.parts[part] != now[part]
        ]
    ages = gate == "quality"
    days = None
    if made_at is not None:
        age = at - made_at
        days = max(0, age.days)
        if ages and age > timedelta(days=max_age_days):
            why.append(f"it is {days} days old, and holds for {max_age_days:g}")
        elif age < timedelta(days=-1):
            why.append(f"it is dated {made_at:%Y-%m-%d}, which is still to come: a clock was wrong")
    elif basis is not None and ages:
        why.append("when it was measured is not known")
    return EvidenceAge(
        gate=gate,
        record_id=record_id,
        made_at=made_at,
        days=days,
        max_age_days=max_age_days if ages else None,
        stale=tuple(why),
        renew=RENEW,
    )
