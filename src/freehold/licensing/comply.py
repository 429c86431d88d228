"""The duties of a ruling as texts: attribution, NOTICE, annex, model card, checklist. Pure."""

from __future__ import annotations

from freehold.licensing.duties import KEY_TITLES
from freehold.types.license import License
from freehold.types.ruling import Obligation, Ruling

DISCLAIMER = "Facts and readings of licence texts, not legal advice."


def attribution_text(ruling: Ruling, licenses: dict[str, License]) -> str:
    """What a served endpoint shows about its model: phrases due, ancestors, licences. Plain text.

    `licenses` maps the ids in the ruling to their records; an unknown id is shown as it is.
    """
    lines = [ruling.model]
    phrases = [
        duty.value
        for duty in ruling.obligations
        if duty.key in ("display_attribution", "ui_display_model_name", "attribution") and duty.value
    ]
    lines += list(dict.fromkeys(phrases))
    for license_id in ruling.licenses:
        license = licenses.get(license_id)
        lines.append(license_id if license is None else f"{license.name} ({license.licensor}), {license_id}")
    return "\n".join(lines) + "\n"


def notice_text(ruling: Ruling, licenses: dict[str, License]) -> str:
    """The NOTICE file: every prescribed sentence, once, then the other licences by name."""
    sentences = [duty.value for duty in ruling.obligations if duty.key == "notice_file" and duty.value]
    sentences += [
        f"{licenses[name].name}, {licenses[name].licensor}: {name}"
        for name in ruling.licenses
        if name in licenses and licenses[name].scope == "weights" and licenses[name].notice not in sentences
    ]
    return "\n\n".join(dict.fromkeys(sentences)) + "\n"


def annex_text(ruling: Ruling, licenses: dict[str, License]) -> str:
    """An annex for your own terms where use restrictions must be passed on; empty when none must."""
    duties = [duty for duty in ruling.obligations if duty.key == "pass_through_use_restrictions"]
    if not duties:
        return ""
    parts = [
        "# Use restrictions",
        "Adapt this annex and make it part of your terms of use or licence. Attach the licensor's own list: "
        "its wording counts.",
    ]
    for duty in duties:
        name = licenses[duty.license_id].name if duty.license_id in licenses else duty.license_id
        parts.append(
            f"## {name}, {duty.section}\n\n"
            f"You must not use {duty.model or 'the model'}, or anything derived from it, for what the use "
            f"restrictions of the {name} forbid. This provision is enforceable against you. You must put "
            "everyone to whom you pass the model, or access to it, under the same provision, and tell them of it.\n\n"
            f"Why: {duty.text}."
        )
        bars = [
            f"- {clause.text} ({clause.section})"
            for clause in (licenses[duty.license_id].clauses if duty.license_id in licenses else ())
            if type(clause).__name__ == "DomainClause"
        ]
        if bars:
            parts.append("Restrictions the catalog knows (own words, not complete):\n\n" + "\n".join(bars))
    return "\n\n".join(parts) + "\n"


def card_text(ruling: Ruling, licenses: dict[str, License]) -> str:
    """A licence section for the model card."""
    lines = ["## License", ""]
    for name in ruling.licenses:
        lines.append(f"- {licenses[name].name} (`{name}`)" if name in licenses else f"- `{name}`")
    phrases = [
        duty
        for duty in ruling.obligations
        if duty.value and duty.key in ("display_attribution", "attribution")
    ]
    lines += [""] + [f"{duty.value}" for duty in phrases] if phrases else []
    if any(duty.key == "state_changes" for duty in ruling.obligations):
        lines += ["", "Changes: these weights were modified. Describe here what was changed, how and when."]
    if any(duty.key == "pass_through_use_restrictions" for duty in ruling.obligations):
        lines += ["", "Use is subject to the restrictions in USE_RESTRICTIONS.md."]
    return "\n".join(lines) + "\n"


def checklist_text(ruling: Ruling) -> str:
    """Every duty as a box to tick, what is recommended after what is due, and what the answer rests on."""
    lines = [f"# {ruling.model}: {ruling.outcome.replace('_', ' ')}", "", DISCLAIMER, ""]
    for heading, chosen in (
        ("Due", [duty for duty in ruling.obligations if not (duty.recommended or duty.passive)]),
        ("Recommended", [duty for duty in ruling.obligations if duty.recommended]),
        ("Stay within", [duty for duty in ruling.obligations if duty.passive]),
    ):
        if chosen:
            lines += [f"## {heading}", "", *[_box(duty) for duty in chosen], ""]
    for heading, texts in (
        ("Violations to mend", ruling.violations),
        ("Assumptions", ruling.assumptions),
        ("What would change the answer", ruling.would_change),
    ):
        if texts:
            lines += [f"## {heading}", "", *[f"- {text}" for text in texts], ""]
    return "\n".join(lines)


def _box(duty: Obligation) -> str:
    value = f": “{duty.value}”" if duty.value else ""
    title = KEY_TITLES.get(duty.key, duty.key)
    return f"- [ ] {title}{value} ({duty.license_id} {duty.section}): {duty.text}"
