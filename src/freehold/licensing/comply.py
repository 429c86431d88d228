"""The duties of a ruling as texts: attribution, NOTICE, annex, model card, checklist. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from freehold.licensing.words import KEY_TITLES
from freehold.types.license import DomainClause, DutyMark, License, Obligation, Ruling, RulingReason, duty_id

_COPYRIGHT = frozenset({"retain_notices", "attribution"})
"""Duties that ask to keep or to give a copyright line."""

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
        by = "" if license is None or license.licensor == "various" else f" ({license.licensor})"
        lines.append(license_id if license is None else f"{license.name}{by}, {license_id}")
    return "\n".join(lines) + "\n"


def notice_text(
    ruling: Ruling, licenses: dict[str, License], copyrights: Mapping[str, str] | None = None
) -> str:
    """The NOTICE file: every prescribed sentence, once, then a copyright line for each model whose licence asks
    for one.

    `copyrights` maps a model to the copyright line of its licence file. Where it is not known, a line in brackets
    says where to take it from: none is made up.
    """
    known = copyrights or {}
    sentences = [duty.value for duty in ruling.obligations if duty.key == "notice_file" and duty.value]
    for duty in ruling.obligations:
        license = licenses.get(duty.license_id)
        if license is None or license.scope != "weights" or duty.key not in _COPYRIGHT or duty.passive:
            continue
        if license.notice in sentences:
            continue
        model = duty.model or ruling.model
        line = known.get(model, f"[copyright line of {model}: copy it from the LICENSE file of your copy]")
        sentences.append(f"{model}\n{line}\nLicensed under the {license.name} ({license.id})")
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
        parts += _restrictions(licenses.get(duty.license_id))
    return "\n\n".join(parts) + "\n"


def _restrictions(license: License | None) -> list[str]:
    """What an annex bars: all of it where it was read, else what the clauses hold, and which of the two it is."""
    if license is None:
        return []
    if license.restrictions:
        listed = [f"{number}. {text}" for number, text in enumerate(license.restrictions, 1)]
        return [f"All {len(listed)} restrictions of the annex, in own words:\n\n" + "\n".join(listed)]
    bars = [
        f"- {clause.text} ({clause.section})"
        for clause in license.clauses
        if isinstance(clause, DomainClause)
    ]
    if not bars:
        return []
    return ["Some of the restrictions, in own words. The list is not complete:\n\n" + "\n".join(bars)]


def _yaml_head(ruling: Ruling, licenses: dict[str, License], bases: Sequence[str]) -> list[str]:
    """The head of a model card as hubs read it: licence, its name and link, what the model stands on."""
    found = [
        licenses[name] for name in ruling.licenses if name in licenses and licenses[name].scope == "weights"
    ]
    named = next((one for one in found if one.id.startswith("LicenseRef")), found[0] if found else None)
    lines = ["---"]
    if named is not None:
        own = named.id.startswith("LicenseRef")
        lines.append(f"license: {'other' if own else named.id.lower()}")
        if own:
            lines.append(f"license_name: {named.id.removeprefix('LicenseRef-').split('-', 1)[-1]}")
        if own and (link := license_link(named)):
            lines.append(f"license_link: {link}")
    if bases:
        lines += ["base_model:", *[f"  - {name}" for name in bases]]
    return [*lines, "---", ""]


def license_link(license: License) -> str | None:
    """Where the text of a licence can be read, from its source: SPDX, GitHub, a page; None where none is known."""
    source = license.source
    if source.startswith("spdx:") or not license.id.startswith("LicenseRef"):
        return f"https://spdx.org/licenses/{license.id}.html"
    if (found := re.match(r"github:([\w.\-]+/[\w.\-]+)", source)) is not None:
        return f"https://github.com/{found.group(1)}"
    page = re.search(r"https://[^\s,;)]+", source)
    if page is not None:
        return page.group()
    if license.id.startswith("LicenseRef-scancode-"):
        key = license.id.removeprefix("LicenseRef-scancode-")
        return f"https://scancode-licensedb.aboutcode.org/{key}.html"
    return None


def card_text(ruling: Ruling, licenses: dict[str, License], bases: Sequence[str] = ()) -> str:
    """A licence section for the model card, below a YAML head; `bases` are hub ids the model stands on.

    Of several licences the head names the first that is not a common open one: it is the one that binds most.
    """
    lines = [*_yaml_head(ruling, licenses, bases), "## License", ""]
    for name in ruling.licenses:
        lines.append(f"- {licenses[name].name} (`{name}`)" if name in licenses else f"- `{name}`")
    phrases = [
        duty
        for duty in ruling.obligations
        if duty.value and duty.key in ("display_attribution", "attribution")
    ]
    lines += ["", *dict.fromkeys(f"{duty.value}" for duty in phrases)] if phrases else []
    if any(duty.key == "state_changes" for duty in ruling.obligations):
        lines += ["", "Changes: these weights were modified. Describe here what was changed, how and when."]
    if any(duty.key == "pass_through_use_restrictions" for duty in ruling.obligations):
        lines += ["", "Use is subject to the restrictions in USE_RESTRICTIONS.md."]
    return "\n".join(lines) + "\n"


def checklist_text(ruling: Ruling, marks: Mapping[str, DutyMark] = MappingProxyType({})) -> str:
    """Every duty as a box to tick, what is recommended after what is due, and what the answer rests on. `marks` are
    those that are said to be done, by the ids of their duties."""
    lines = [f"# {ruling.model}: {ruling.outcome.replace('_', ' ')}", "", DISCLAIMER, ""]
    for heading, chosen in (
        ("Due", [duty for duty in ruling.obligations if not (duty.recommended or duty.passive)]),
        ("Recommended", [duty for duty in ruling.obligations if duty.recommended]),
        ("Stay within", [duty for duty in ruling.obligations if duty.passive]),
    ):
        if chosen:
            lines += [f"## {heading}", "", *_boxes(ruling.model, chosen, marks), ""]
    for heading, texts in (
        ("Violations to mend", ruling.violations),
        ("Assumptions", ruling.assumptions),
        ("What would change the answer", ruling.would_change),
    ):
        if texts:
            lines += [f"## {heading}", "", *[f"- {text}" for text in texts], ""]
    return "\n".join(lines)


def _boxes(model: str, duties: Sequence[Obligation], marks: Mapping[str, DutyMark]) -> list[str]:
    """Each duty once, with every model it comes from; ticked where it is done for each of them."""
    models: dict[str, list[str]] = {}
    done: dict[str, list[DutyMark | None]] = {}
    for duty in duties:
        value = f": “{duty.value}”" if duty.value else ""
        title = KEY_TITLES.get(duty.key, duty.key)
        line = f"{title}{value} ({duty.license_id} {duty.section}): {duty.text}"
        models.setdefault(line, []).extend(
            [duty.model] if duty.model and duty.model not in models.get(line, []) else []
        )
        done.setdefault(line, []).append(marks.get(duty_id(model, duty)))
    return [
        f"- [{'x' if all(done[line]) else ' '}] {line}"
        + (f" [{', '.join(names)}]" if names else "")
        + "".join(dict.fromkeys(f" ({said_done(mark)})" for mark in done[line] if all(done[line]) and mark))
        for line, names in models.items()
    ]


def said_done(mark: DutyMark) -> str:
    """Who says that a duty is done, and since when."""
    return f"done, says {mark.who}, {mark.at:%Y-%m-%d}"


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
    learning = () if ruling.learning is None else (ruling.learning,)
    for title, texts in (
        ("Assumed", ruling.assumptions),
        ("Would change it", ruling.would_change),
        ("May it learn from your API", learning),
    ):
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
        what = "the assumption below is" if count == 1 else f"all {count} assumptions below are"
        said += f" Valid if {what} true."
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
