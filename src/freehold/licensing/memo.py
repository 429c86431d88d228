"""A ruling as a short memo for people. Pure text; the command line adds colours."""

from __future__ import annotations

from freehold.licensing.comply import DISCLAIMER
from freehold.licensing.words import KEY_TITLES
from freehold.types.license import License
from freehold.types.ruling import Obligation, Ruling, RulingReason

OUTCOMES: dict[str, str] = {
    "allowed": "Allowed. Nothing has to be done beyond obeying the law and any use policy.",
    "allowed_with_obligations": "Allowed, if every duty below is met.",
    "not_allowed": "Not allowed as described.",
    "needs_separate_license": "Not allowed under this licence; ask the publisher for a separate licence.",
    "unclear": "Unclear. The texts, or what is known of this case, do not decide it.",
}


BASIS: dict[str, str] = {
    "text": "text read",
    "readme": "licensor's own pages",
    "quoted": "clause seen quoted",
    "secondary": "known at second hand",
}
"""How well a reason is backed, as the memo says it."""


def memo(ruling: Ruling, licenses: dict[str, License]) -> str:
    """The answer, what decides it, what to do, what it rests on, and what would change it."""
    lines = [f"{ruling.model}: {ruling.outcome.replace('_', ' ')}", _headline(ruling), ""]
    deciding = [reason for reason in ruling.reasons if reason.outcome is not None]
    if deciding:
        lines += ["What decides", *[_reason(reason, licenses) for reason in deciding], ""]
    if ruling.violations:
        texts = ruling.details.get("violation_texts", ruling.violations)
        lines += ["Mend first", *[f"  - {text}" for text in texts], ""]
    due = [duty for duty in ruling.obligations if not (duty.recommended or duty.passive)]
    if due:
        blocked = ruling.outcome in ("not_allowed", "needs_separate_license", "unclear")
        lines += ["Would be due" if blocked else "Do", *_duties(due, licenses), ""]
    wise = [duty for duty in ruling.obligations if duty.recommended or duty.passive]
    if wise:
        lines += ["Wise to do, not demanded", *_duties(wise, licenses), ""]
    for title, texts in (("Assumed", ruling.assumptions), ("Would change it", ruling.would_change)):
        if texts:
            lines += [title, *[f"  - {text}" for text in texts], ""]
    other = [reason for reason in ruling.reasons if reason.outcome is None and reason.code != "L201"]
    if other:
        lines += ["Considered", *[_reason(reason, licenses) for reason in other], ""]
    lines.append(DISCLAIMER)
    return "\n".join(lines) + "\n"


def _headline(ruling: Ruling) -> str:
    """The outcome in a sentence, with what it is conditional on."""
    said = OUTCOMES[ruling.outcome]
    count = len(ruling.assumptions)
    if count and ruling.outcome in ("allowed", "allowed_with_obligations"):
        what = "what is assumed" if count == 1 else f"the {count} things that are assumed"
        said += f" This holds only if {what} below hold{'s' if count == 1 else ''}."
    return said


def _reason(reason: RulingReason, licenses: dict[str, License]) -> str:
    license = licenses.get(reason.license_id)
    elsewhere = license is not None and reason.source not in ("", license.source) and reason.code != "L301"
    document = reason.source if elsewhere else _name(reason.license_id, licenses)
    where = ", ".join(part for part in (document, reason.section, BASIS.get(reason.confidence, "")) if part)
    return f"  - {reason.text} [{where}]"


def _duties(duties: list[Obligation], licenses: dict[str, License]) -> list[str]:
    """Each duty once, however many ancestors ask for it."""
    return list(dict.fromkeys(_duty(duty, licenses) for duty in duties))


def _duty(duty: Obligation, licenses: dict[str, License]) -> str:
    value = f": “{duty.value}”" if duty.value else ""
    where = f"{_name(duty.license_id, licenses)} {duty.section}"
    return f"  - {KEY_TITLES.get(duty.key, duty.key)}{value} [{where}]"


def _name(license_id: str, licenses: dict[str, License]) -> str:
    return licenses[license_id].name if license_id in licenses else license_id
